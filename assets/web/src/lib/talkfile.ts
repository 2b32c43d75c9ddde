// A talk from a file, looked at before it is sent: whether it is one, with whom, how long, and from when to when. The server checks every
// message again; here a person is told what they are about to bring along, or what is wrong with the file.

export interface Talk {
  /** As it will be sent. */
  body: Record<string, unknown>;
  title: string;
  character: string;
  persona: string;
  messages: number;
  from: string;
  to: string;
}

export type TalkFault = 'not_json' | 'no_messages' | 'no_character' | 'bad_message' | 'too_many';
export type TalkFile = { talk: Talk; fault: null } | { talk: null; fault: TalkFault; at: number };

const MESSAGES_LIMIT = 100_000;

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const wordsOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : '');
const wrong = (fault: TalkFault, at = 0): TalkFile => ({ talk: null, fault, at });

/** `character` stands in for a file that does not say with whom; `at` counts messages from 1. */
export function readTalk(text: string, character = ''): TalkFile {
  const file = parse(text);
  if (!isRecord(file)) {
    return wrong('not_json');
  }
  const rows: unknown = file['messages'];
  if (!Array.isArray(rows) || rows.length === 0) {
    return wrong('no_messages');
  }
  if (rows.length > MESSAGES_LIMIT) {
    return wrong('too_many');
  }
  const bad = rows.findIndex((row) => !isMessage(row));
  if (bad >= 0) {
    return wrong('bad_message', bad + 1);
  }
  const messages = rows as { role: string; name?: string; created_at: string }[];
  const name = wordsOf(file['character_name']) || wordsOf(messages.find((row) => row.role === 'assistant')?.name) || character;
  if (!name && !wordsOf(file['character_id'])) {
    return wrong('no_character');
  }
  const times = messages.map((row) => row.created_at).sort((a, b) => Date.parse(a) - Date.parse(b));
  const body = { ...file, format: 'troupe', ...(wordsOf(file['character_id']) ? {} : { character_name: name }) };
  return {
    fault: null,
    talk: { body, title: wordsOf(file['title']), character: name, persona: wordsOf(file['persona_name']), messages: rows.length, from: times[0] ?? '', to: times[times.length - 1] ?? '' },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isMessage(row: unknown): boolean {
  return (
    isRecord(row) &&
    (row['role'] === 'user' || row['role'] === 'assistant') &&
    typeof row['content'] === 'string' &&
    typeof row['created_at'] === 'string' &&
    !Number.isNaN(Date.parse(row['created_at']))
  );
}
