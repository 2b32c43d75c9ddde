// Example dialogue of a card, from its text to lines that can be edited one by one, and back. The text is the truth: what this reader does not
// understand it keeps as narration, so that reading and writing again loses nothing but blank lines at the ends.
//
// Character Card V1: blocks begin with <START>; a line that begins with {{user}}: or {{char}}: is spoken, others go on with the line before.

export type Speaker = 'char' | 'user' | 'narration';

export interface ExampleLine {
  speaker: Speaker;
  text: string;
}

export type ExampleBlock = ExampleLine[];

const START = /^\s*<START>\s*$/i;
const SPOKEN = /^\s*\{\{(char|user)\}\}:[ \t]?(.*)$/i;

export function readExamples(text: string): ExampleBlock[] {
  const blocks: ExampleBlock[] = [];
  let block: ExampleBlock = [];
  const close = (): void => {
    const lines = block.map((line) => ({ ...line, text: line.text.trim() })).filter((line) => line.text !== '');
    if (lines.length > 0) {
      blocks.push(lines);
    }
    block = [];
  };
  for (const line of text.replace(/\r\n?/g, '\n').split('\n')) {
    const spoken = SPOKEN.exec(line);
    const last = block[block.length - 1];
    if (START.test(line)) {
      close();
    } else if (spoken) {
      block.push({ speaker: spoken[1]?.toLowerCase() === 'user' ? 'user' : 'char', text: spoken[2] ?? '' });
    } else if (last) {
      last.text += `\n${line}`;
    } else if (line.trim() !== '') {
      block.push({ speaker: 'narration', text: line });
    }
  }
  close();
  return blocks;
}

export function writeExamples(blocks: readonly ExampleBlock[]): string {
  return blocks
    .map((block) => block.filter((line) => line.text.trim() !== ''))
    .filter((block) => block.length > 0)
    .map((block) => ['<START>', ...block.map((line) => (line.speaker === 'narration' ? line.text.trim() : `{{${line.speaker}}}: ${line.text.trim()}`))].join('\n'))
    .join('\n');
}
