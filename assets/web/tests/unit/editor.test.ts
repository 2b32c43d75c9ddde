// What the editor of characters is made of: example dialogue as lines, and what changed between two texts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffWords } from '../../src/lib/diff';
import { readExamples, writeExamples } from '../../src/lib/examples';

const examples: { why: string; text: string; lines: string[][] }[] = [
  { why: 'nothing', text: '', lines: [] },
  { why: 'one block', text: '<START>\n{{user}}: Hello.\n{{char}}: Good evening.', lines: [['user: Hello.', 'char: Good evening.']] },
  { why: 'without a start, letter case aside', text: '{{USER}}: a\n{{Char}}:b', lines: [['user: a', 'char: b']] },
  { why: 'lines that go on', text: '<START>\n{{char}}: One.\n\n*Two.*\n{{user}}: Three.', lines: [['char: One.\n\n*Two.*', 'user: Three.']] },
  { why: 'two blocks, words before anybody speaks, windows', text: '<start>\r\nA pier.\r\n{{user}}: a\r\n<START>\r\n{{char}}: b\r\n', lines: [['narration: A pier.', 'user: a'], ['char: b']] },
  { why: 'empty ones go', text: '<START>\n<START>\n{{user}}:\n{{char}}: b', lines: [['char: b']] },
];

for (const { why, text, lines } of examples) {
  test(`examples: ${why}`, () => {
    const read = readExamples(text);
    assert.deepEqual(read.map((block) => block.map((line) => `${line.speaker}: ${line.text}`)), lines);
    assert.deepEqual(readExamples(writeExamples(read)), read, 'written and read again');
  });
}

const texts: { why: string; before: string; after: string; told: string }[] = [
  { why: 'equal', before: 'a b c', after: 'a b c', told: 'a b c' },
  { why: 'a word is new', before: 'a c', after: 'a b c', told: 'a [+b ]c' },
  { why: 'a word is gone', before: 'a b c', after: 'a c', told: 'a [-b ]c' },
  { why: 'one for another', before: 'the old house', after: 'the new house', told: 'the [-old ][+new ]house' },
  { why: 'from nothing', before: '', after: 'all of it', told: '[+all of it]' },
  { why: 'to nothing', before: 'all of it', after: '', told: '[-all of it]' },
  { why: 'a mark is no word', before: 'look at.', after: 'look at, and go.', told: 'look at[+, and go].' },
  { why: 'macros, other letters, a name in two', before: '{{char}} geht über’n Fluss', after: '{{user}} geht über’n Tee-Fluss', told: '{{[-char][+user]}} geht über’n [-Fluss][+Tee-Fluss]' },
  { why: 'twice', before: 'a b c d e', after: 'x b c y e', told: '[-a ][+x ]b c [-d ][+y ]e' },
];

for (const { why, before, after, told } of texts) {
  test(`diff: ${why}`, () => {
    const changes = diffWords(before, after);
    assert.equal(changes.map(({ kind, text }) => (kind === 'same' ? text : `[${kind === 'new' ? '+' : '-'}${text}]`)).join(''), told);
    assert.equal(changes.filter((row) => row.kind !== 'new').map((row) => row.text).join(''), before);
    assert.equal(changes.filter((row) => row.kind !== 'gone').map((row) => row.text).join(''), after);
  });
}

test('diff: long texts are told in bounded time', () => {
  const [before, after] = ['a', 'b'].map((word) => `${word} x `.repeat(20_000));
  assert.deepEqual(diffWords(before ?? '', after ?? '').map((row) => row.kind).slice(0, 2), ['gone', 'new']);
});
