// The objects of the API. Written by scripts/types.mjs from openapi.json: change the server, then run `npm run types`.

export interface SetupState {
  needed: boolean;
  registration: 'closed' | 'invite' | 'open';
  version: string;
}

export interface User {
  id: string;
  email?: string;
  display_name: string;
  role: 'owner' | 'admin' | 'moderator' | 'creator' | 'member';
  created_at?: string;
}

export interface SignedIn {
  user: User;
  access_token: string;
  expires_in: number;
}

export interface Session {
  id: string;
  device: string;
  address: string;
  is_current: boolean;
  created_at: string;
  last_used_at: string;
  expires_at: string;
}

export interface ApiKey {
  id: string;
  name: string;
  hint: string;
  scopes: string[];
  key?: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export interface Preferences {
  theme?: 'system' | 'light' | 'dark';
  language?: string;
  content_tier?: string;
  font_percent?: number;
  memory_panel?: boolean;
  typing_indicator?: boolean;
  notifications?: boolean;
  enter_sends?: boolean;
}

export interface Persona {
  id: string;
  name: string;
  description: string;
  avatar_url: string | null;
  is_default: boolean;
}

export interface Character {
  id: string;
  owner_id: string;
  name: string;
  nickname: string;
  description: string;
  personality: string;
  scenario: string;
  first_mes: string;
  mes_example: string;
  alternate_greetings: string[];
  group_only_greetings: string[];
  system_prompt: string;
  post_history_instructions: string;
  creator_notes: string;
  tags: string[];
  creator: string;
  character_version: string;
  tagline: string;
  visibility: 'private' | 'unlisted' | 'public';
  content_tier: string;
  avatar_url: string | null;
  talkativeness: number;
  lore_count?: number;
  favourite: boolean;
  revision: number;
  created_at: string;
  updated_at: string;
}

export interface ImportReport {
  items: {
    file: string;
    status: string;
    character?: Character;
    error?: string;
  }[];
}

export interface TagCount {
  tag: string;
  count: number;
}

export interface ConversationSettings {
  author_note?: string;
  author_note_depth?: number;
  scenario?: string;
  system_prompt?: string;
  route?: string;
  temperature?: number;
  reply_tokens?: number;
}

export interface Conversation {
  id: string;
  title: string;
  characters: { id: string; name: string; avatar_url: string | null }[];
  persona_id: string | null;
  settings: ConversationSettings;
  pinned: boolean;
  archived: boolean;
  unread: number;
  last_message_at: string | null;
  last_line: string;
  created_at: string;
  updated_at: string;
}

export interface MessageAuthor {
  kind: 'user' | 'character' | 'system';
  id: string | null;
  name: string;
}

export type MessageState = 'streaming' | 'complete' | 'stopped' | 'interrupted' | 'failed';

export interface Message {
  id: string;
  conversation_id: string;
  parent_id: string | null;
  role: 'user' | 'assistant' | 'system';
  author: MessageAuthor;
  content: string;
  swipe: { index: number; count: number };
  state: MessageState;
  hidden: boolean;
  reasoning?: string | null;
  model?: string;
  usage?: Usage;
  finish_reason?: string | null;
  revision?: number;
  created_at: string;
  updated_at: string;
  deleted_at?: string | null;
}

export interface Usage {
  prompt_tokens?: number;
  reply_tokens?: number;
}

export interface Prompt {
  model: string;
  route: string;
  budget_tokens: number;
  used_tokens: number;
  parts: {
    name: string;
    role: string;
    priority: number;
    tokens: number;
    content: string;
    truncated: boolean;
  }[];
  lore: { book: string; entry: string; key: string | null; reason: string; tokens: number; dropped: boolean }[];
  history_cut: boolean;
}

export interface DiscoveredServer {
  kind: string;
  label: string;
  provider: string;
  base_url: string;
  version: string | null;
  models: string[];
  context_tokens: number | null;
  needs_key: boolean;
  is_loading: boolean;
}

export interface Model {
  id: string;
  name: string;
  provider: 'openai' | 'ollama' | 'anthropic' | 'understudy';
  base_url: string;
  model: string;
  has_key: boolean;
  context_tokens: number;
  is_enabled: boolean;
}

export interface ModelTest {
  ok: boolean;
  reply: string;
  first_token_ms: number | null;
  total_ms: number;
  models: string[];
  error: string | null;
}

export interface Route {
  name: string;
  model_ids: string[];
}

export interface Invite {
  id: string;
  code: string;
  role: string;
  note: string;
  uses_left: number;
  created_by: string;
  created_at: string;
  expires_at: string | null;
}
