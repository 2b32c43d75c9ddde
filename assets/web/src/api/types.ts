// The objects of the API. Written by scripts/types.mjs from openapi.json: change the server, then run `./dev types`.

export interface Actor {
  /** null: the house itself. */
  id: string | null;
  /** As it is now; null: gone. */
  name: string | null;
}

export interface ApiKey {
  /** The key. */
  id: string;
  /** What it is for. */
  name: string;
  /** Its first letters. */
  hint: string;
  /** What it may do. */
  scopes: string[];
  /** The key itself: only in the answer that made it. */
  key?: string;
  /** When it was made. */
  created_at: string;
  /** When it ends. */
  expires_at: string | null;
  /** When it was last used, to the minute. */
  last_used_at: string | null;
}

export interface Archive {
  /** none: there is no archive, or its day is over. */
  state: 'none' | 'preparing' | 'ready' | 'failed';
  /** The job that makes or made it: POST /jobs/{id}/cancel stops it, job:progress tells of it. */
  job_id: string | null;
  /** While it is prepared: how much is written ... */
  progress: number;
  /** ... of how much; null: not known yet. */
  total: number | null;
  /** Of the archive, when it is ready. */
  bytes: number | null;
  /** When it was. */
  made_at: string | null;
  /** Then it is removed. */
  expires_at: string | null;
  /** Where it is, for you alone. */
  url: string | null;
  /** Why it failed. */
  reason: string | null;
}

export interface AuditEntry {
  /** The entry. */
  id: string;
  /** When. */
  at: string;
  /** Who. */
  actor: Actor;
  /** What was done: "user.role". */
  action: string;
  /** To what kind of thing. */
  target_kind: string;
  /** To which. */
  target_id: string | null;
  /** What it was and what it became. */
  detail: unknown;
}

export interface Branch {
  /** Its id. */
  id: string;
  /** The branch that it leaves; null for the first. */
  parent_id: string | null;
  /** The last message of this branch. */
  leaf_id: string;
  /** Where it leaves another branch; null for the first. */
  fork_message_id: string | null;
  /** The beginning of its last message. */
  last_line: string;
  /** It is the path that is shown now. */
  is_shown: boolean;
  /** When its last message was written. */
  created_at: string;
}

export interface Character {
  /** The character. */
  id: string;
  /** Whose it is. */
  owner_id: string;
  /** Its name. */
  name: string;
  /** What {{char}} becomes, when it is not empty. */
  nickname: string;
  /** One line for the playbill. */
  tagline: string;
  /** For finding it. */
  tags: string[];
  /** Who wrote it. */
  creator: string;
  /** Who may see it: its owner; whoever has its address; everybody here. */
  visibility: 'private' | 'unlisted' | 'public';
  /** For whom it is. */
  content_tier: 'all_ages' | 'mature' | 'adult';
  /** Its portrait; loads without a token. */
  avatar_url: string | null;
  /** 0 to 1: how readily it speaks in a group. */
  talkativeness: number;
  /** It is among your favourites. */
  favourite: boolean;
  /** What people think of it; null: nobody has said. */
  rating: number | null;
  /** Raised by every save. */
  revision: number;
  /** Since when. */
  created_at: string;
  /** Last save. */
  updated_at: string;
  /** Who it is. */
  description: string;
  /** In short. */
  personality: string;
  /** Where it begins. */
  scenario: string;
  /** Its first line. */
  first_mes: string;
  /** How it talks; blocks begin with <START>. */
  mes_example: string;
  /** Other first lines. */
  alternate_greetings: string[];
  /** First lines in groups. */
  group_only_greetings: string[];
  /** Instead of the house's; {{original}} is what it replaces. */
  system_prompt: string;
  /** Said after the talk. */
  post_history_instructions: string;
  /** For people, never for the model. */
  creator_notes: string;
  /** The same in other languages, by their two letters. */
  creator_notes_multilingual: unknown;
  /** The creator's own version. */
  character_version: string;
  /** Where the card came from. */
  source: string[];
  /** Files that the card names, kept for export. */
  assets: unknown;
  /** Data of other programs, kept as it is. */
  extensions: unknown;
  /** The voice it speaks with. */
  voice: string;
  /** Its 3D model. */
  vrm_id: string | null;
  /** Sampler settings of its own. */
  model_settings: unknown;
  /** Its own lorebook, for the routes of lorebooks. */
  lorebook_id: string | null;
  /** Its own lorebook, as Character Card V3 has it. */
  character_book: unknown;
}

export interface CharacterRevision {
  /** Its number. */
  revision: number;
  /** Who saved it. */
  saved_by: string;
  /** When. */
  created_at: string;
}

export interface CharacterRevisionWhole {
  /** Its number. */
  revision: number;
  /** Who saved it. */
  saved_by: string;
  /** When. */
  created_at: string;
  /** The character as it was. */
  character: Character;
}

export interface CharacterSummary {
  /** The character. */
  id: string;
  /** Whose it is. */
  owner_id: string;
  /** Its name. */
  name: string;
  /** What {{char}} becomes, when it is not empty. */
  nickname: string;
  /** One line for the playbill. */
  tagline: string;
  /** For finding it. */
  tags: string[];
  /** Who wrote it. */
  creator: string;
  /** Who may see it: its owner; whoever has its address; everybody here. */
  visibility: 'private' | 'unlisted' | 'public';
  /** For whom it is. */
  content_tier: 'all_ages' | 'mature' | 'adult';
  /** Its portrait; loads without a token. */
  avatar_url: string | null;
  /** 0 to 1: how readily it speaks in a group. */
  talkativeness: number;
  /** It is among your favourites. */
  favourite: boolean;
  /** What people think of it; null: nobody has said. */
  rating: number | null;
  /** Raised by every save. */
  revision: number;
  /** Since when. */
  created_at: string;
  /** Last save. */
  updated_at: string;
  /** In the trash since then; only in the list of the trash. */
  deleted_at?: string;
}

export interface Conversation {
  /** The conversation. */
  id: string;
  /** Whose it is. */
  owner_id: string;
  /** Its name. */
  title: string;
  /** Who takes part. */
  characters: ConversationCharacter[];
  /** Who the person is here; null: their default. */
  persona_id: string | null;
  /** One character, or several. */
  mode: 'single' | 'group';
  /** What was set for it. */
  settings: ConversationSettings;
  /** The last message of the path that is shown. */
  head_id: string | null;
  /** The conversation it was branched off. */
  from_conversation_id: string | null;
  /** The message at which it was. */
  from_message_id: string | null;
  /** Stands first in lists. */
  pinned: boolean;
  /** Out of the way. */
  archived: boolean;
  /** Replies that nobody has seen. */
  unread: number;
  /** A reply is under way. */
  speaking: boolean;
  /** The beginning of the newest message. */
  last_line: string;
  /** When something was last said. */
  last_message_at: string;
  /** Raised by every change of title, settings and the like. */
  revision: number;
  /** When it began. */
  created_at: string;
  /** When it last changed. */
  updated_at: string;
  /** When it went to the trash. */
  deleted_at?: string;
}

export interface ConversationCharacter {
  /** The character. */
  id: string;
  /** Its name. */
  name: string;
  /** Its portrait. */
  avatar_url: string | null;
  /** The character has been deleted, or may not be seen any more; the talk stays. */
  is_gone: boolean;
}

export interface ConversationSettings {
  /** A note to the model that is laid into the talk, a few messages from the end. */
  author_note?: string | null;
  /** How many messages stand after the note. */
  author_note_depth?: number;
  /** A scenario instead of the card's. */
  scenario?: string | null;
  /** A system prompt instead of the card's; {{original}} stands for the house's. */
  system_prompt?: string | null;
  /** Which route of models answers. */
  route?: string | null;
  /** The character learns from this talk; your preference when not said. */
  memory?: boolean;
  /** It remembers what was said in all your talks with it; your preference when not said. */
  shared_memory?: boolean;
  /** Sampling temperature; -1 leaves it to the endpoint, here and below. */
  temperature?: number;
  /** Nucleus sampling. */
  top_p?: number;
  /** Least probability relative to the best token. */
  min_p?: number;
  /** Only the best k tokens. */
  top_k?: number;
  /** Against repeating words by count. */
  frequency_penalty?: number;
  /** Against repeating words at all. */
  presence_penalty?: number;
  /** Multiplicative penalty, as local endpoints have it. */
  repetition_penalty?: number;
  /** Makes sampling repeatable where the endpoint can. */
  seed?: number;
  /** The longest reply; 0 leaves it to the model's setting. */
  reply_tokens?: number;
  /** Texts at which a reply ends. */
  stop?: string[];
}

export interface DiscoveredServer {
  /** Which server it is: ollama, llamacpp, lmstudio, koboldcpp, vllm, openai. */
  kind: string;
  /** Its name for people. */
  label: string;
  /** The provider to add it with. */
  provider: string;
  /** Where it is. */
  base_url: string;
  /** Its version, if it says. */
  version: string | null;
  /** The models it has. */
  models: string[];
  /** The context it is set to, if it says. */
  context_tokens: number | null;
  /** It wants to know who asks. */
  needs_key: boolean;
  /** It is still loading its model. */
  is_loading: boolean;
}

export interface Doctor {
  /** Nothing fails. */
  ok: boolean;
  /** One by one. */
  items: Finding[];
}

export interface Embedder {
  provider: 'none' | 'builtin' | 'openai' | 'ollama';
  base_url: string;
  model: string;
  /** A key is kept for it. */
  has_key: boolean;
  /** Width of its vectors; 0: not known yet. */
  dims: number;
  /** working: something waits to be embedded; failing: its endpoint does, and is left alone for a while; unavailable: this build has no weights. */
  state: 'none' | 'ready' | 'working' | 'failing' | 'unavailable';
  /** Of the last failure, in plain words. */
  error: string | null;
  /** This build can embed by itself. */
  builtin_is_available: boolean;
  /** Items whose words are still to be written. */
  words_pending: number;
  /** Items that are still to be embedded. */
  vectors_pending: number;
  /** Items that can be found by meaning. */
  items: number;
  /** Their pieces, one vector each; those of a change under way are among them. */
  vectors: number;
  /** Size of their files. */
  bytes: number;
  /** The change under way. */
  next: EmbedderChange | null;
}

export interface EmbedderChange {
  provider: 'none' | 'builtin' | 'openai' | 'ollama';
  base_url: string;
  model: string;
  has_key: boolean;
  /** Width of its vectors; 0: not known yet. */
  dims: number;
  /** Items that are embedded by it. */
  done: number;
  /** Of so many; grows while they are listed. */
  total: number;
  /** Why it does not go on. */
  error: string | null;
}

export interface EmbedderTest {
  /** It embeds. */
  ok: boolean;
  /** Width of its vectors. */
  dims: number;
  total_ms: number;
  /** What went wrong, in plain words. */
  error: string | null;
}

export interface Episode {
  /** The episode. */
  id: string;
  /** Where it happened. */
  conversation_id: string;
  /** A few words. */
  title: string;
  /** What happened. */
  text: string;
  /** One word. */
  mood: string;
  /** Its first message. */
  started_at: string;
  /** Its last message. */
  ended_at: string;
  /** Its first message. */
  from_message_id: string;
  /** Its last message. */
  to_message_id: string;
  /** 0 to 1. */
  importance: number;
  /** A message of it has changed since; it is made anew soon. */
  is_stale: boolean;
  /** A model, or rules. */
  made_by: 'model' | 'rules' | 'person';
  /** Raised by every change. */
  revision: number;
  /** When it was made. */
  created_at: string;
  /** When it last changed. */
  updated_at: string;
}

export interface Fact {
  /** The fact. */
  id: string;
  /** Where it was learnt. */
  conversation_id: string;
  /** What it is. */
  kind: 'fact' | 'preference' | 'relationship' | 'event';
  /** Whom it is about: user, character, or a name. */
  subject: string;
  /** A key. */
  predicate: string;
  /** The value. */
  object: string;
  /** One plain sentence. */
  text: string;
  /** 0 to 1. */
  importance: number;
  /** How sure it is, 0 to 1; grows when it is said again. */
  confidence: number;
  /** Since when it is so. */
  valid_from: string;
  /** Since when it is no longer so; null: it is. */
  valid_to: string | null;
  /** What replaced it. */
  superseded_by: string | null;
  /** Whether it counts, waits for approval, or was replaced. */
  state: 'active' | 'proposed' | 'superseded';
  /** It stands in every prompt. */
  pinned: boolean;
  /** How many prompts it stood in. */
  uses: number;
  /** When it last did. */
  last_used_at: string | null;
  /** Who put it so: a model, rules, or a person. */
  made_by: 'model' | 'rules' | 'person';
  /** The messages that it comes from. */
  source_message_ids: string[];
  /** Raised by every change; the ETag follows it. */
  revision: number;
  /** When it was learnt. */
  created_at: string;
  /** When it last changed. */
  updated_at: string;
}

export interface Finding {
  /** note: works, but worth knowing. */
  level: 'ok' | 'note' | 'fail';
  /** What was looked at, in one word. */
  what: string;
  /** What was found and what to do, in plain words. */
  text: string;
}

export interface Forgotten {
  /** Facts that go, or would. */
  facts: Fact[];
  /** Episodes that tell of it. */
  episodes: Episode[];
  /** Kinds of summaries that lose sentences. */
  summaries: string[];
  /** Messages of which nothing is remembered any more; they stay in the talk. */
  message_ids: string[];
  /** Nothing has been done. */
  dry_run: boolean;
}

export interface ImportReport {
  /** One for each file, in order. */
  items: ImportedFile[];
}

export interface ImportedConversation {
  /** The new conversation. */
  conversation: Conversation;
  /** Its messages, in order. */
  messages: ImportedMessage[];
}

export interface ImportedFile {
  /** Its name, as it was sent. */
  file: string;
  /** What became of it. */
  status: 'imported' | 'failed';
  /** The new character, private. */
  character?: Character;
  /** Why it was not taken. */
  error?: string;
  /** Of an error: it is not about the file itself, trying again may help. */
  may_retry?: boolean;
  /** What was odd, and what was done about it. */
  warnings: string[];
}

export interface ImportedMessage {
  /** The message. */
  id: string;
  /** Your own key. */
  external_id: string | null;
}

export interface Invite {
  /** The invitation. */
  id: string;
  /** What the invited type in. */
  code: string;
  /** What they become. */
  role: 'member' | 'creator' | 'moderator' | 'admin';
  /** For whom. */
  note: string;
  /** How many may still come in. */
  uses_left: number;
  /** Who made it. */
  created_by: string;
  /** When. */
  created_at: string;
  /** When it ends. */
  expires_at: string | null;
}

export interface Job {
  /** The job. */
  id: string;
  /** What it does: "blob.sweep". */
  kind: string;
  /** dead: given up, until somebody tries again. */
  state: 'queued' | 'running' | 'done' | 'dead' | 'cancelled';
  /** For whom; null: the house. */
  user_id: string | null;
  /** It comes again by itself, and cannot be cancelled. */
  is_standing: boolean;
  /** Somebody asked it to stop. */
  is_cancelled: boolean;
  /** How much is done ... */
  progress: number;
  /** ... of how much; null: not known. */
  total: number | null;
  /** How often it was begun. */
  attempts: number;
  /** Of the last failure. */
  reason: string | null;
  /** Not before this moment. */
  run_at: string;
  /** When it was asked for. */
  created_at: string;
  /** When it last moved. */
  updated_at: string;
}

export interface KnowledgeDocument {
  /** The document. */
  id: string;
  /** As it was sent. */
  name: string;
  /** Of the file. */
  bytes: number;
  /** In how many pieces it is known. */
  chunks: number;
  /** Since when. */
  created_at: string;
}

export interface Lately {
  /** Messages, replies among them. */
  messages: number;
  /** Of characters. */
  replies: number;
  /** Read by models. */
  prompt_tokens: number;
  /** Written by models. */
  reply_tokens: number;
}

export interface Leave {
  /** From this moment on all of it goes for good; signing in before brings it back. */
  erase_at: string;
}

export interface LoreEntry {
  /** The entry. */
  id: string;
  /** Any of these fires it. */
  keys: string[];
  /** Of a selective entry: one of these must be there too. */
  secondary_keys: string[];
  /** What is told to the model. */
  content: string;
  /** A label. */
  name: string;
  /** A note. */
  comment: string;
  /** It may fire. */
  enabled: boolean;
  /** It always fires. */
  constant: boolean;
  /** It needs a secondary key too. */
  selective: boolean;
  /** Letter case matters. */
  case_sensitive: boolean | null;
  /** Kept for export. */
  use_regex: boolean;
  /** Lower stands earlier in the prompt. */
  insertion_order: number;
  /** Lower is dropped first. */
  priority: number | null;
  /** Before or after the character's definition. */
  position: 'before_char' | 'after_char' | null;
  /** Data of other programs. */
  extensions: unknown;
}

export interface LoreVerdict {
  /** The entry. */
  entry_id: string;
  /** Its name, comment or first key. */
  name: string;
  /** It would stand in the prompt, or would if the budget allowed. */
  fires: boolean;
  /** It fires, but the book's budget is used up. */
  is_dropped: boolean;
  /** Why, or why not. */
  reason: string;
  /** The key that fired it. */
  key: string | null;
  /** An estimate of what it takes; 0 for what does not fire. */
  tokens: number;
}

export interface Lorebook {
  /** The book. */
  id: string;
  /** The character whose own book it is. */
  character_id: string | null;
  /** Its name. */
  name: string;
  /** What it is about. */
  description: string;
  /** How many messages keys are looked for in; null: 2. */
  scan_depth: number | null;
  /** How much of the prompt it may take; null: its share. */
  token_budget: number | null;
  /** Entries may be fired by what other entries say. */
  recursive_scanning: boolean;
  /** Data of other programs. */
  extensions: unknown;
  /** How many entries it has. */
  entry_count: number;
  /** Since when. */
  created_at: string;
  /** Last change of the book or an entry. */
  updated_at: string;
}

export interface Mail {
  /** The mail. */
  id: string;
  /** For whom. */
  user_id: string;
  /** Why it was written. */
  kind: 'reset' | 'verify' | 'exists' | 'changed' | 'test';
  /** The address it goes to. */
  recipient: string;
  /** Its subject. */
  subject: string;
  /** resting: there is no relay; expired: its link ended before it left. */
  state: 'queued' | 'resting' | 'sent' | 'failed' | 'expired';
  /** How often the relay was asked. */
  attempts: number;
  /** Why the last attempt failed. */
  reason: string | null;
  /** Its text is still there, and you may read it. */
  is_readable: boolean;
  /** Its text is still there, but its recipient's role is not below yours. */
  is_sealed: boolean;
  /** What it says: only where one mail is asked for. */
  text?: string | null;
  /** What it says is over then. */
  expires_at: string;
  /** When it was written. */
  created_at: string;
  /** When it last moved. */
  updated_at: string;
}

export interface Memory {
  /** Pinned first, then by importance. */
  facts: Fact[];
  /** The newest, oldest first. */
  episodes: Episode[];
  /** How much of the talk can be found. */
  index: MemoryIndex;
  /** Facts of all talks with this character, not only of this one. */
  is_shared: boolean;
  /** What is learnt waits for you. */
  needs_approval: boolean;
  /** Something is learnt from this talk. */
  learns: boolean;
}

export interface MemoryIndex {
  /** Messages that may be remembered. */
  messages: number;
  /** Those that are found by their words. */
  words: number;
  /** Those that are found by meaning; 0 when there is no encoder. */
  vectors: number;
  /** What still waits for words or vectors. */
  pending: number;
}

export interface MemoryJob {
  /** The job; its progress comes as job:progress. */
  job_id: string;
}

export interface Message {
  /** The message. */
  id: string;
  /** Its conversation. */
  conversation_id: string;
  /** The message before. */
  parent_id: string | null;
  /** The part it plays in the prompt. */
  role: 'user' | 'assistant' | 'system';
  /** Who speaks. */
  author: MessageAuthor;
  /** The text of the shown variant. */
  content: string;
  /** The shown variant among all. */
  swipe: Swipe;
  /** How the text came to its end, or that it is still coming. */
  state: 'streaming' | 'complete' | 'stopped' | 'interrupted' | 'failed';
  /** Shown to people, not to the model. */
  hidden: boolean;
  /** The model's thinking, kept apart. */
  reasoning?: string;
  /** Which model spoke. */
  model?: string;
  /** Tokens, where they are known. */
  usage?: Usage;
  /** Why the reply ended. */
  finish_reason?: string;
  /** The sender's own key, of an import. */
  external_id?: string;
  /** Raised by every edit; the ETag follows it. */
  revision: number;
  /** When it was said. */
  created_at: string;
  /** When it last changed. */
  updated_at: string;
  /** When it went to the trash. */
  deleted_at?: string;
}

export interface MessageAuthor {
  /** What speaks. */
  kind: 'user' | 'character' | 'system';
  /** The user or the character. */
  id: string | null;
  /** The name at that time. */
  name: string;
}

export interface MessageCount {
  /** How many went to the trash. */
  deleted?: number;
  /** How many came back. */
  restored?: number;
}

export interface MessageRevision {
  /** Of which variant. */
  swipe: number;
  /** The message's revision then. */
  revision: number;
  /** A text that was replaced, or one that came too late. */
  kind: 'before_edit' | 'before_continue' | 'refused';
  /** The text. */
  content: string;
  /** Who made the change. */
  saved_by: string;
  /** When. */
  created_at: string;
}

export interface Model {
  id: string;
  /** What people see. */
  name: string;
  provider: 'openai' | 'ollama' | 'anthropic' | 'understudy';
  base_url: string;
  /** The endpoint's name for it. */
  model: string;
  /** A key is kept for it. */
  has_key: boolean;
  context_tokens: number;
  reply_tokens: number;
  /** Replies at once; 0: as many as come. */
  concurrency: number;
  /** How many wait for it now. */
  waiting: number;
  /** What token estimates are multiplied with, learned from reported usage. */
  tokens_scale: number;
  is_enabled: boolean;
  /** As the last calls found it. */
  health: 'unknown' | 'ok' | 'failing' | 'resting';
  /** How long it is still left alone after failures; 0: it is not. */
  resting_ms: number;
  revision: number;
  created_at: string;
  updated_at: string;
}

export interface ModelChoice {
  /** What to send as `model`. */
  id: string;
  name: string;
  kind: 'route' | 'model' | 'understudy';
  context_tokens: number;
  reply_tokens: number;
}

export interface ModelTest {
  /** The model answered. */
  ok: boolean;
  /** What it said, cut. */
  reply: string;
  first_token_ms: number | null;
  total_ms: number;
  /** What went wrong, in plain words. */
  error: string | null;
  /** The names that the endpoint lists; empty when it does not. */
  models: string[];
  /** Whether the model's name is among them; null when there is no list. */
  is_listed: boolean | null;
}

export interface PersonData {
  /** Yours. */
  characters: number;
  /** That they know. */
  documents: number;
  /** Who you are on stage. */
  personas: number;
  /** Without the trash. */
  conversations: number;
  /** In them, on every branch. */
  messages: number;
  /** That characters learnt of you. */
  facts: number;
  /** Of all texts in conversations. */
  bytes: number;
  /** Conversations that others have with your characters: they stay, the characters go. */
  talks_of_others: number;
  /** The owner of the house cannot. */
  may_leave: boolean;
  /** Days after leaving in which signing in brings everything back. */
  undo_days: number;
}

export interface Persona {
  /** The persona. */
  id: string;
  /** The name in a talk. */
  name: string;
  /** Who that is. */
  description: string;
  /** Its picture. */
  avatar_url: string | null;
  /** Used where no other is chosen. */
  is_default: boolean;
  /** Raised by every change. */
  revision: number;
  /** When it was made. */
  created_at: string;
  /** Last change. */
  updated_at: string;
}

export interface Preferences {
  /** Light, dark, or as the device has it. */
  theme?: 'system' | 'light' | 'dark';
  /** More than usual, or as the device has it. */
  contrast?: 'system' | 'more';
  /** Of the app: a language tag; empty: as the browser has it. */
  language?: string;
  /** The most that is shown; beyond all_ages only for adults. */
  content_tier?: 'all_ages' | 'mature' | 'adult';
  /** Your clock, for {{time}} and {{date}}: an IANA name such as Europe/Berlin. */
  time_zone?: string;
  /** Size of text. */
  font_percent?: number;
  /** Show what a character remembers. */
  memory_panel?: boolean;
  /** Characters learn from what you say; a conversation may differ. */
  memory?: boolean;
  /** A character remembers what you said in all your talks with it, not only in the one; a conversation may differ. */
  shared_memory?: boolean;
  /** What is learnt waits until you approve it. */
  memory_approval?: boolean;
  /** Others see that you type. */
  typing_indicator?: boolean;
  /** Tell about replies that nobody has seen. */
  notifications?: boolean;
  /** Enter sends, Shift+Enter begins a line. */
  enter_sends?: boolean;
}

/** RFC 9457 */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  request_id: string;
  errors?: ({
    field: string;
    message: string;
  })[];
}

export interface Prompt {
  /** The model it was made for. */
  model: string;
  /** The route. */
  route: string;
  /** Room for the prompt. */
  budget_tokens: number;
  /** What it takes. */
  used_tokens: number;
  /** Kept free for the reply. */
  reply_tokens: number;
  /** Older messages did not fit. */
  history_cut: boolean;
  /** In the order in which they are sent. */
  parts: PromptPart[];
  /** Which lore fired and why. */
  lore: PromptLore[];
  /** What was looked up in documents, and why. */
  knowledge: PromptKnowledge[];
  /** What was remembered, and why. */
  memories: PromptMemory[];
}

export interface PromptKnowledge {
  /** The document. */
  document_id: string;
  /** Its name. */
  document: string;
  /** Where in it; empty before any heading. */
  heading: string;
  /** What it says. */
  text: string;
  /** How well it fits what was just said: meaning and half of words. */
  score: number;
  /** Cosine; 0 where it was found by words alone. */
  meaning: number;
  /** Share of the words of what was said that it has. */
  words: number;
  /** Estimate. */
  tokens: number;
  /** It was found, but there was no room for it. */
  dropped: boolean;
}

export interface PromptLore {
  /** The book. */
  lorebook_id: string;
  /** The entry. */
  entry_id: string;
  /** The book's name. */
  book: string;
  /** The entry's name. */
  entry: string;
  /** The key that fired; null for a constant entry. */
  key: string | null;
  /** Why it fired. */
  reason: string;
  /** Estimate. */
  tokens: number;
  /** It fired, but the budget was used up. */
  dropped: boolean;
}

export interface PromptMemory {
  /** What is remembered. */
  kind: 'message' | 'fact';
  /** Its id; of a message, the message's. */
  id: string;
  /** The message where it was said. */
  message_id: string | null;
  /** The conversation where it was said; with shared memory it may be another one. */
  conversation_id: string;
  /** Who said it. */
  speaker: string | null;
  /** What it says. */
  text: string;
  /** When it was said. */
  created_at: string;
  /** How well it fits what was just said. */
  score: number;
  /** The shares of the score. */
  signals: RecallSignals;
  /** Estimate. */
  tokens: number;
  /** It was found, but there was no room for it. */
  dropped: boolean;
}

export interface PromptPart {
  /** What this part is. */
  name: string;
  /** As whom it is sent. */
  role: 'user' | 'assistant' | 'system';
  /** Filled from high to low. */
  priority: number;
  /** Estimate for this model. */
  tokens: number;
  /** Of history: the message. */
  message_id?: string;
  /** Of history: who spoke. */
  speaker?: string;
  /** Cut to fit. */
  truncated: boolean;
  /** There was no room: not sent. */
  dropped: boolean;
  /** The text, macros replaced. */
  content: string;
}

export interface PublicUser {
  /** The person. */
  id: string;
  /** Their name. */
  display_name: string;
  /** Their picture. */
  avatar_url: string | null;
}

export interface RecallSignals {
  /** The best sentence is close in meaning. */
  sentence: number;
  /** It and what was said just before are close in meaning. */
  pair: number;
  /** The best sentences of the same sitting are close in meaning. */
  session: number;
  /** What was said just after is close in meaning. */
  next: number;
  /** It follows a question that is close in meaning. */
  answer: number;
  /** It has the question's words. */
  words: number;
  /** It and what was said just before have the question's words. */
  words_pair: number;
  /** What was said just after has the question's words. */
  words_next: number;
  /** The same sitting has the question's words. */
  session_words: number;
  /** The one who is asked about says it. */
  speaker: number;
  /** It is a question itself. */
  question: number;
  /** When is asked, and it says when. */
  time: number;
  /** How many is asked, and it says a number. */
  number: number;
  /** It was said at the time that the question names. */
  date: number;
}

export interface Recalled {
  /** What was found. */
  kind: 'message' | 'fact' | 'episode' | 'summary';
  /** Its id; of a message, the message's. */
  id: string;
  /** The message where it stands, or from which it was learnt. */
  message_id: string | null;
  /** The message's key in the talk that was imported. */
  external_id?: string;
  /** Where it was said. */
  conversation_id: string;
  /** What was said. */
  text: string;
  /** Who said it. */
  speaker: string | null;
  /** When it was said. */
  created_at: string;
  /** How well it answers; comparable within one answer. */
  score: number;
  /** The shares of the score. */
  signals: RecallSignals;
}

export interface Relationship {
  /** The character. */
  character_id: string;
  /** One or two words: strangers, friends, partners ... */
  status: string;
  /** 0 to 1. */
  closeness: number;
  /** Of the last stretch. */
  mood: string;
  /** How the two stand. */
  text: string;
  /** How many were exchanged. */
  messages: number;
  /** The first of them. */
  first_at: string | null;
  /** The last of them. */
  last_at: string | null;
  /** What was said about the two. */
  facts: Fact[];
  /** A model, or rules. */
  made_by: 'model' | 'rules' | 'person';
  /** When it last changed. */
  updated_at: string | null;
}

export interface Route {
  /** Small letters, digits, '-' and '_'; "default" answers when nothing else is said. */
  name: string;
  /** In the order in which they are asked. */
  model_ids: string[];
}

export interface Routes {
  routes: Route[];
}

export interface Session {
  /** The session. */
  id: string;
  /** What the browser called itself. */
  device: string;
  /** Where it was last used from. */
  address: string;
  /** It is the one that asks. */
  is_current: boolean;
  /** When it began. */
  created_at: string;
  /** When it was last renewed. */
  last_used_at: string;
  /** When it ends in any case. */
  expires_at: string;
}

export interface Setting {
  /** section.key, as in the file. */
  name: string;
  /** What kind of value it takes. */
  type: 'int' | 'bool' | 'text' | 'choice';
  /** What it is now: a number, a truth or a text; null for a secret. */
  value: unknown;
  /** What it is when nobody says anything. */
  default: unknown;
  /** What an admin stored, also when it waits for a restart. */
  stored: string | null;
  /** Who said so; a flag or the environment cannot be changed from here. */
  source: 'default' | 'file' | 'stored' | 'environment' | 'flag';
  /** Of a choice. */
  choices?: string[];
  /** Of a number; of a text its bytes. */
  min?: number;
  /** Likewise. */
  max?: number;
  /** Of a number. */
  unit?: string;
  /** What it does, in one sentence. */
  help: string;
  /** A change takes effect with the next start. */
  needs_restart: boolean;
  /** Neither shown nor taken here. */
  is_secret: boolean;
  /** Only the owner changes it. */
  is_owners: boolean;
}

export interface SetupState {
  /** There is no owner yet. */
  needed: boolean;
  /** Who may make an account. */
  registration: 'closed' | 'invite' | 'open';
  /** Mail leaves this house; else it rests in the outbox, where admins read it. */
  sends_mail: boolean;
  /** Of this server. */
  version: string;
}

export interface SignedIn {
  /** Who you are. */
  user: User;
  /** For the Authorization header. */
  access_token: string;
  /** Seconds until it must be renewed by POST /auth/refresh. */
  expires_in: number;
  /** The account had been deleted and was to be erased; signing in brought it back. */
  has_returned: boolean;
}

export interface Stats {
  /** Accounts. */
  people: number;
  /** Those that may not sign in. */
  people_disabled: number;
  /** On all stages, without the trash. */
  characters: number;
  /** Likewise. */
  conversations: number;
  /** All that are stored. */
  messages: number;
  /** Jobs that wait, standing ones among them. */
  jobs_waiting: number;
  /** Jobs given up. */
  jobs_dead: number;
  /** Replies under way. */
  turns_running: number;
  /** Realtime listeners. */
  sockets: number;
  /** What happened lately. */
  last_24_hours: Lately;
  /** What it takes on the disk. */
  storage: Storage;
}

export interface Status {
  /** One word. */
  status: string;
  /** Writes reach the disk. */
  storage?: boolean;
}

export interface Stopped {
  /** How many replies were stopped. */
  stopped: number;
}

export interface Storage {
  /** Of the database. */
  database_bytes: number;
  /** Of what is not yet moved into it. */
  wal_bytes: number;
  /** Of what is found by meaning. */
  vectors_bytes: number;
  /** Of pictures and other files. */
  blobs_bytes: number;
  /** How many those are. */
  blobs: number;
  /** Of what people take along, each kept for a day. */
  archives_bytes: number;
  /** What is free under the data folder. */
  disk_free_bytes: number;
  /** Of how much. */
  disk_bytes: number;
}

export interface Summary {
  /** The summary. */
  id: string;
  /** Of the last stretch, of everything, or of how the two stand. */
  kind: 'recent' | 'full' | 'relationship';
  /** What it says. */
  text: string;
  /** The first message that it covers. */
  from_message_id: string | null;
  /** The last one. */
  to_message_id: string | null;
  /** A person wrote it: it is added to and not rewritten. */
  is_edited: boolean;
  /** A covered message has changed since; it is made anew soon. */
  is_stale: boolean;
  /** A model, rules (sentences that were said), or a person. */
  made_by: 'model' | 'rules' | 'person';
  /** Raised by every change; the ETag follows it. */
  revision: number;
  /** When it was first made. */
  created_at: string;
  /** When it last changed. */
  updated_at: string;
}

export interface Swipe {
  /** Which variant is shown, from 0. */
  index: number;
  /** How many there are. */
  count: number;
}

export interface Tag {
  /** In lower case. */
  tag: string;
  /** How many characters that you may see have it. */
  count: number;
}

export interface Turn {
  /** What was said; null when nobody spoke. */
  message: Message | null;
  /** The reply; null when none was wanted, or while it is under way. */
  reply: Message | null;
  /** With wait=false: the turn that is under way. */
  turn_id?: string;
  /** The reply failed or broke off; what was said is stored. */
  error?: TurnError;
}

export interface TurnError {
  /** A word for programs. */
  code: string;
  /** A sentence for people. */
  detail: string;
  /** Trying again may help. */
  retryable: boolean;
}

export interface Usage {
  /** Tokens of the prompt. */
  prompt_tokens: number | null;
  /** Tokens of the reply. */
  reply_tokens: number | null;
}

export interface User {
  /** The person. */
  id: string;
  /** The address to sign in with. */
  email: string;
  /** How characters call them. */
  display_name: string;
  /** What they may do. */
  role: 'owner' | 'admin' | 'moderator' | 'creator' | 'member';
  /** Their picture. */
  avatar_url: string | null;
  /** They declared an adult age. */
  is_adult: boolean;
  /** They may not sign in. */
  disabled: boolean;
  /** A link that was sent to the address came back. */
  email_verified: boolean;
  /** Raised by every change. */
  revision: number;
  /** Since when. */
  created_at: string;
  /** Last change. */
  updated_at: string;
}

export interface Variant {
  /** Its number. */
  swipe: number;
  /** How it ended. */
  state: string;
  /** Its text. */
  content: string;
  /** Which model spoke. */
  model: string | null;
  /** Why it ended. */
  finish_reason: string | null;
  /** When it began. */
  created_at: string;
}
