// Markdown as characters write it, from text to a tree of tokens; parts/Markdown.svelte turns the tree into DOM nodes.
//
// It is a dialect of role play, not CommonMark: *asterisks* are an action, "quotes" are speech, ||bars|| hide a spoiler,
// a single line break is a line break. HTML has no meaning and stays visible as text. The text is hostile: nothing here
// makes markup, every loop moves forward, nesting is bounded (DEPTH_LIMIT), so the cost grows with the length only.
// It is read again on every frame while a reply streams (GrowingMarkdown reads only its end). Then (`growing`) a mark that is open at the end of the text
// counts as closed there, because that is what it will be: nothing changes its look when the closing mark arrives.

export type Inline =
  | { kind: 'text'; text: string }
  | { kind: 'break' }
  | { kind: 'code'; text: string }
  | { kind: 'strong'; children: Inline[] }
  | { kind: 'action'; children: Inline[] }
  | { kind: 'strike'; children: Inline[] }
  | { kind: 'speech'; children: Inline[] }
  | { kind: 'spoiler'; children: Inline[] }
  | { kind: 'link'; url: string; children: Inline[] }
  | { kind: 'image'; url: string; alt: string };

export type Block =
  | { kind: 'paragraph'; children: Inline[] }
  | { kind: 'heading'; level: number; children: Inline[] }
  | { kind: 'fence'; language: string; text: string }
  | { kind: 'quote'; children: Block[] }
  | { kind: 'list'; ordered: boolean; start: number; items: Block[][] }
  | { kind: 'rule' };

const DEPTH_LIMIT = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)\s*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.+?)\s*#*$/;
const RULE = /^ {0,3}(?:-(?: ?-){2,}|\*(?: ?\*){2,}|_(?: ?_){2,}|~{3})\s*$/;
const ITEM = /^( {0,3})([-*+•]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const URL_AT = /https?:\/\/[^\s<>"'`|*\]]+/iy;

export function parseMarkdown(source: string, growing = false): Block[] {
  return parseBlocks(linesOf(source), 0, growing);
}

const linesOf = (source: string): string[] => (source.includes('\r') ? source.replace(/\r\n?/g, '\n') : source).split('\n');

/**
 * A text that grows at its end, read again and again. What can change no more is read once, and its blocks stay the same objects, so a
 * page that draws them does nothing. The last two blocks are read anew: a line that is not whole may still join the block before it
 * ("1" after a list becomes its next item "1. ...").
 */
export class GrowingMarkdown {
  #settled = '';
  #blocks: Block[] = [];

  read(source: string, growing: boolean): Block[] {
    if (!source.startsWith(this.#settled)) {
      this.#settled = '';
      this.#blocks = [];
    }
    const lines = linesOf(source.slice(this.#settled.length));
    const starts: number[] = [];
    const fresh = parseBlocks(lines, 0, growing, starts);
    const blocks = [...this.#blocks, ...fresh];
    const firstOpen = starts[fresh.length - 2];
    if (firstOpen && !source.includes('\r')) {
      this.#settled = source.slice(0, this.#settled.length + lengthOf(lines, firstOpen));
      this.#blocks = blocks.slice(0, -2);
    }
    return blocks;
  }
}

const lengthOf = (lines: string[], count: number): number => lines.slice(0, count).reduce((sum, line) => sum + line.length + 1, 0);

/** The plain words of a text, for titles and last lines. */
export function plainText(source: string): string {
  const inline = (nodes: Inline[]): string =>
    nodes
      .map((node) => {
        switch (node.kind) {
          case 'text':
          case 'code':
            return node.text;
          case 'break':
            return ' ';
          case 'image':
            return node.alt;
          case 'spoiler':
            return '…';
          default:
            return inline(node.children);
        }
      })
      .join('');
  const block = (node: Block): string => {
    switch (node.kind) {
      case 'rule':
        return '';
      case 'fence':
        return node.text;
      case 'quote':
        return node.children.map(block).join(' ');
      case 'list':
        return node.items.map((item) => item.map(block).join(' ')).join(' ');
      default:
        return inline(node.children);
    }
  };
  return parseMarkdown(source).map(block).join(' ').replace(/\s+/g, ' ').trim();
}

/** `starts`, when given, takes the line at which each block begins. */
function parseBlocks(lines: string[], depth: number, growing: boolean, starts: number[] = []): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    if (line.trim() === '') {
      at += 1;
      continue;
    }
    starts[blocks.length] = at;
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    if (fence) {
      at = readFence(lines, at, fence, blocks);
    } else if (heading) {
      blocks.push({
        kind: 'heading',
        level: heading[1]?.length ?? 1,
        children: parseInline(heading[2] ?? '', 0, growing && at === lines.length - 1),
      });
      at += 1;
    } else if (RULE.test(line)) {
      blocks.push({ kind: 'rule' });
      at += 1;
    } else if (QUOTE.test(line) && depth < DEPTH_LIMIT) {
      at = readQuote(lines, at, depth, growing, blocks);
    } else if (ITEM.test(line) && depth < DEPTH_LIMIT) {
      at = readList(lines, at, depth, growing, blocks);
    } else {
      at = readParagraph(lines, at, depth, growing, blocks);
    }
  }
  return blocks;
}

function readFence(lines: string[], at: number, open: RegExpExecArray, blocks: Block[]): number {
  const mark = open[1] ?? '```';
  const body: string[] = [];
  let next = at + 1;
  while (next < lines.length) {
    const line = (lines[next] ?? '').trim();
    next += 1;
    if (line.length >= mark.length && line === (mark[0] ?? '`').repeat(line.length)) {
      break;
    }
    body.push(lines[next - 1] ?? '');
  }
  blocks.push({ kind: 'fence', language: open[2] ?? '', text: body.join('\n') });
  return next;
}

function readQuote(lines: string[], at: number, depth: number, growing: boolean, blocks: Block[]): number {
  const body: string[] = [];
  let next = at;
  for (; next < lines.length; next += 1) {
    const quoted = QUOTE.exec(lines[next] ?? '');
    if (!quoted) {
      break;
    }
    body.push(quoted[1] ?? '');
  }
  blocks.push({ kind: 'quote', children: parseBlocks(body, depth + 1, growing && next === lines.length) });
  return next;
}

function readList(lines: string[], at: number, depth: number, growing: boolean, blocks: Block[]): number {
  const first = ITEM.exec(lines[at] ?? '');
  const ordered = /\d/.test(first?.[2] ?? '');
  const inside = new RegExp(`^(?: {${(first?.[1] ?? '').length + 2},}|\\t)\\S`);
  const items: string[][] = [];
  let next = at;
  for (; next < lines.length; next += 1) {
    const line = lines[next] ?? '';
    const item = ITEM.exec(line);
    if (items.length > 0 && inside.test(line)) {
      items[items.length - 1]?.push(line.replace(/^ {2,4}|^\t/, ''));
    } else if (item && /\d/.test(item[2] ?? '') === ordered) {
      items.push([item[3] ?? '']);
    } else {
      break;
    }
  }
  const start = ordered ? Number.parseInt(first?.[2] ?? '1', 10) : 1;
  const last = next === lines.length ? items.length - 1 : -1;
  blocks.push({
    kind: 'list',
    ordered,
    start,
    items: items.map((item, index) => parseBlocks(item, depth + 1, growing && index === last)),
  });
  return next;
}

function readParagraph(lines: string[], at: number, depth: number, growing: boolean, blocks: Block[]): number {
  const body: string[] = [lines[at] ?? ''];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next] ?? '';
    const nested = depth < DEPTH_LIMIT && (QUOTE.test(line) || ITEM.test(line));
    if (line.trim() === '' || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || nested) {
      break;
    }
    body.push(line);
  }
  blocks.push({ kind: 'paragraph', children: parseInline(body.join('\n'), 0, growing && next === lines.length) });
  return next;
}

/** The marks that open something, longest first, with what must close them. */
const MARKS: { open: string; kind: 'strong' | 'action' | 'strike' | 'spoiler' }[] = [
  { open: '**', kind: 'strong' },
  { open: '__', kind: 'strong' },
  { open: '~~', kind: 'strike' },
  { open: '||', kind: 'spoiler' },
  { open: '*', kind: 'action' },
  { open: '_', kind: 'action' },
];

const SPEECH: Record<string, string> = { '"': '"', '“': '”', '„': '“', '«': '»', '「': '」' };

export function parseInline(source: string, depth = 0, growing = false): Inline[] {
  const nodes: Inline[] = [];
  let plain = ''; // what was cut out around escapes
  let from = 0; // of the run that is cut next: letter by letter it would stay a chain of letters in memory
  let at = 0;
  // A mark that found no partner once finds none later either, up to the same end: this keeps hostile input linear.
  const hopeless = new Set<string>();
  const flush = (): void => {
    const text = plain + source.slice(from, at);
    if (text !== '') {
      nodes.push({ kind: 'text', text });
      plain = '';
    }
  };
  while (at < source.length) {
    const char = source[at] ?? '';
    if (char === '\\' && /[\\*_~|`"[\]()#>!-]/.test(source[at + 1] ?? '')) {
      plain += source.slice(from, at) + (source[at + 1] ?? '');
      at += 2;
      from = at;
      continue;
    }
    const found = depth < DEPTH_LIMIT ? readInline(source, at, depth, growing, hopeless) : null;
    if (found) {
      flush();
      nodes.push(found.node);
      at = from = found.end;
    } else if (char === '\n') {
      flush();
      nodes.push({ kind: 'break' });
      at += 1;
      from = at;
    } else {
      at += 1;
    }
  }
  flush();
  return nodes;
}

type Found = { node: Inline; end: number } | null;

function readInline(source: string, at: number, depth: number, growing: boolean, hopeless: Set<string>): Found {
  const char = source[at] ?? '';
  if (char === '`') {
    return readCode(source, at, growing, hopeless);
  }
  if (char === '[' || (char === '!' && source[at + 1] === '[')) {
    return readLink(source, at, depth, hopeless);
  }
  if (char === 'h' || char === 'H') {
    return readBareUrl(source, at);
  }
  if (char in SPEECH) {
    return readSpeech(source, at, depth, growing, hopeless);
  }
  return readMark(source, at, depth, growing, hopeless);
}

function readCode(source: string, at: number, growing: boolean, hopeless: Set<string>): Found {
  const mark = /^`+/.exec(source.slice(at, at + 9))?.[0] ?? '`';
  if (hopeless.has(mark)) {
    return null;
  }
  const close = source.indexOf(mark, at + mark.length);
  const isOpen = close < 0 && growing;
  if (close < 0 && !isOpen) {
    hopeless.add(mark);
    return null;
  }
  const end = isOpen ? source.length : close;
  const text = source.slice(at + mark.length, end).trim();
  return text === '' ? null : { node: { kind: 'code', text }, end: Math.min(end + mark.length, source.length) };
}

function readLink(source: string, at: number, depth: number, hopeless: Set<string>): Found {
  const image = source[at] === '!';
  if (hopeless.has('](')) {
    return null;
  }
  const open = at + (image ? 2 : 1);
  const middle = source.indexOf('](', open);
  if (middle < 0) {
    hopeless.add('](');
    return null;
  }
  const label = source.slice(open, middle);
  const close = source.indexOf(')', middle + 2);
  if (label.includes('[') || label.includes('\n') || close < 0) {
    return null;
  }
  const url = safeUrl(source.slice(middle + 2, close).trim(), image);
  if (url === null) {
    return null;
  }
  const node: Inline = image
    ? { kind: 'image', url, alt: label }
    : { kind: 'link', url, children: parseInline(label, depth + 1) };
  return { node, end: close + 1 };
}

function readBareUrl(source: string, at: number): Found {
  if (at > 0 && /\w/.test(source[at - 1] ?? '')) {
    return null;
  }
  URL_AT.lastIndex = at;
  const raw = URL_AT.exec(source)?.[0].replace(/[).,;:!?]+$/, '');
  const url = raw === undefined ? null : safeUrl(raw, false);
  if (raw === undefined || url === null) {
    return null;
  }
  return { node: { kind: 'link', url, children: [{ kind: 'text', text: raw }] }, end: at + raw.length };
}

function readSpeech(source: string, at: number, depth: number, growing: boolean, hopeless: Set<string>): Found {
  const open = source[at] ?? '"';
  const close = SPEECH[open] ?? '"';
  const key = `speech ${open}`;
  if (hopeless.has(key)) {
    return null;
  }
  const closeAt = source.indexOf(close, at + 1);
  const isOpen = closeAt < 0 && growing;
  if (closeAt < 0 && !isOpen) {
    hopeless.add(key);
    return null;
  }
  const end = isOpen ? source.length : closeAt;
  // 5" and 6'2" are inches: speech opens after a space, a mark or the start.
  if (at > 0 && /[\p{L}\p{N}]/u.test(source[at - 1] ?? '')) {
    return null;
  }
  const inside = source.slice(at + 1, end);
  if (inside.trim() === '') {
    return null;
  }
  const children: Inline[] = [{ kind: 'text', text: open }, ...parseInline(inside, depth + 1, isOpen)];
  if (!isOpen) {
    children.push({ kind: 'text', text: close });
  }
  return { node: { kind: 'speech', children }, end: Math.min(end + 1, source.length) };
}

function readMark(source: string, at: number, depth: number, growing: boolean, hopeless: Set<string>): Found {
  const mark = MARKS.find((row) => source.startsWith(row.open, at));
  if (!mark || hopeless.has(mark.open)) {
    return null;
  }
  const from = at + mark.open.length;
  const before = source[at - 1] ?? ' ';
  const next = source[from] ?? ' ';
  // snake_case and 2 * 3 are no emphasis: a mark opens at the edge of a word, against the word.
  if (/\s/.test(next) || (mark.open[0] === '_' && /[\p{L}\p{N}]/u.test(before))) {
    return null;
  }
  const close = closingAt(source, from, mark.open);
  const isOpen = close < 0 && growing && from < source.length;
  if (close < 0 && !isOpen) {
    hopeless.add(mark.open);
    return null;
  }
  const end = isOpen ? source.length : close;
  // Half of a closing ** may have arrived already.
  const inside = source.slice(from, end).replace(isOpen && mark.open.length === 2 ? /[*_~|]$/ : /$^/, '');
  const children = parseInline(inside, depth + 1, isOpen);
  return { node: { kind: mark.kind, children }, end: Math.min(end + mark.open.length, source.length) };
}

/** Where the mark closes, or -1. A blank line ends every hope; `**` inside `*...*` is stepped over. */
function closingAt(source: string, from: number, mark: string): number {
  const single = mark.length === 1;
  for (let at = from + 1; at < source.length; at += 1) {
    if (source[at] === '\\') {
      at += 1;
    } else if (single && source[at] === mark && source[at + 1] === mark) {
      const rest = source.indexOf(mark + mark, at + 2);
      const alone = source[at + 2] === mark;
      if (alone) {
        return at + 2;
      }
      at = rest < 0 ? at + 1 : rest + 1;
    } else if (source.startsWith(mark, at) && !/\s/.test(source[at - 1] ?? ' ')) {
      const after = source[at + mark.length] ?? ' ';
      if (mark[0] !== '_' || !/[\p{L}\p{N}]/u.test(after)) {
        return at;
      }
    }
  }
  return -1;
}

const PICTURE_DATA = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;

/** The address if it may be shown at all: http, https, a path of our own; for pictures also inline pixels. */
export function safeUrl(url: string, image: boolean): string | null {
  if (image && PICTURE_DATA.test(url)) {
    return url;
  }
  if (/^\/(?![/\\])[^\s<>\\]*$/.test(url)) {
    return url;
  }
  try {
    const parsed = new URL(url);
    const web = parsed.protocol === 'http:' || parsed.protocol === 'https:';
    return web && parsed.username === '' && parsed.password === '' ? parsed.href : null;
  } catch {
    return null;
  }
}
