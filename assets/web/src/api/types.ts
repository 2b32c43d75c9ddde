// The objects of the API. Written by scripts/types.mjs from openapi.json: change the server, then run `npm run types`.

export type Id = string;

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  request_id?: string;
  errors?: { field: string; message: string }[];
}

export interface SetupState {
  needed: boolean;
  registration: 'closed' | 'invite' | 'open';
  version: string;
}

export interface User {
  id: Id;
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
  id: Id;
  device: string;
  address?: string;
  created_at: string;
  last_used_at: string;
  current: boolean;
}

export interface ApiKey {
  id: Id;
  name: string;
  scopes: string[];
  key?: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export interface Preferences {
  theme?: 'system' | 'dark' | 'light';
}

export interface Persona {
  id: Id;
  name: string;
  description: string;
  avatar_url: string | null;
  is_default: boolean;
}

export interface Character {
  id: Id;
  owner_id: Id;
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
  id: Id;
  title: string;
  characters: { id: Id; name: string; avatar_url: string | null }[];
  persona_id: Id | null;
  settings: ConversationSettings;
  pinned: boolean;
  archived: boolean;
  unread: number;
  last_message_at: string | null;
  last_line: string;
  created_at: string;
  updated_at: string;
}

export interface Author {
  kind: 'user' | 'character' | 'system';
  id: Id | null;
  name: string;
}

export type MessageState = 'streaming' | 'complete' | 'stopped' | 'interrupted' | 'failed';

export interface Message {
  id: Id;
  conversation_id: Id;
  parent_id: Id | null;
  role: 'user' | 'assistant' | 'system';
  author: Author;
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

export interface Probe {
  kind: 'ollama' | 'llamacpp' | 'lmstudio' | 'koboldcpp' | 'vllm';
  name: string;
  base_url: string;
  found: boolean;
  latency_ms: number | null;
  models: string[];
  error?: string;
}

export type Provider = 'openai' | 'ollama' | 'anthropic' | 'understudy';

export interface Model {
  id: Id;
  name: string;
  provider: Provider;
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
  model_ids: Id[];
}

export interface Invite {
  id: Id;
  code: string;
  role: string;
  uses: number;
  max_uses: number;
  expires_at: string | null;
  created_at: string;
}
