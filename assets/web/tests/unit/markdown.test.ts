import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInline, parseMarkdown, plainText, safeUrl, type Block, type Inline } from '../../src/lib/markdown';

/** The tree as one line: p(...) em(...) and so on, so that a row can say what it expects. */
function shape(nodes: (Inline | Block)[]): string {
  return nodes
    .map((node) => {
      switch (node.kind) {
        case 'text':
          return node.text;
        case 'break':
          return '/';
        case 'code':
          return `code(${node.text})`;
        case 'link':
          return `link(${node.url} ${shape(node.children)})`;
        case 'image':
          return `image(${node.url} ${node.alt})`;
        case 'fence':
          return `fence(${node.language}|${node.text})`;
        case 'rule':
          return 'rule';
        case 'heading':
          return `h${node.level}(${shape(node.children)})`;
        case 'list':
          return `${node.ordered ? `ol${node.start}` : 'ul'}(${node.items.map((item) => shape(item)).join(';')})`;
        case 'paragraph':
          return `p(${shape(node.children)})`;
        default:
          return `${node.kind}(${shape(node.children)})`;
      }
    })
    .join('');
}

const rows: [input: string, expected: string, why: string][] = [
  ['plain', 'p(plain)', 'plain text'],
  ['a\nb', 'p(a/b)', 'a single line break is a line break'],
  ['a\n\nb', 'p(a)p(b)', 'an empty line ends a paragraph'],
  ['*waves* hello', 'p(action(waves) hello)', 'asterisks are an action'],
  ['**bold** and __bold__', 'p(strong(bold) and strong(bold))', 'double marks are bold'],
  ['***both***', 'p(strong(*both)*)', 'triple marks are read from the left and lose nothing'],
  ['*he **really** waves*', 'p(action(he strong(really) waves))', 'bold inside an action'],
  ['2 * 3 * 4', 'p(2 * 3 * 4)', 'a star between spaces is a star'],
  ['snake_case_name', 'p(snake_case_name)', 'underscores inside words are letters'],
  ['_softly_', 'p(action(softly))', 'underscores at the edge of a word'],
  ['*never closed', 'p(*never closed)', 'an open mark is text until it closes'],
  ['"Hello," she said.', 'p(speech("Hello,") she said.)', 'quotes are speech'],
  ['“Hello”', 'p(speech(“Hello”))', 'typographic quotes'],
  ['6\'2" and 5" tall', 'p(6\'2" and 5" tall)', 'inches are not speech'],
  ['"*sighs* fine"', 'p(speech("action(sighs) fine"))', 'an action inside speech'],
  ['||the butler||', 'p(spoiler(the butler))', 'a spoiler'],
  ['~~no~~', 'p(strike(no))', 'struck'],
  ['`a * b`', 'p(code(a * b))', 'code keeps its marks'],
  ['``a ` b``', 'p(code(a ` b))', 'longer code marks'],
  ['\\*not\\*', 'p(*not*)', 'escaped marks'],
  ['<b>x</b><script>alert(1)</script>', 'p(<b>x</b><script>alert(1)</script>)', 'HTML has no meaning'],
  ['# Title', 'h1(Title)', 'a heading'],
  ['#tag', 'p(#tag)', 'a hash without a space is no heading'],
  ['---', 'rule', 'a rule'],
  ['* * *', 'rule', 'a rule of stars is no list'],
  ['- a\n- b', 'ul(p(a);p(b))', 'a list'],
  ['3. a\n4. b', 'ol3(p(a);p(b))', 'an ordered list keeps its start'],
  ['- a\n  - b', 'ul(p(a)ul(p(b)))', 'a nested list'],
  ['> a\n> b\nc', 'quote(p(a/b))p(c)', 'a quote'],
  ['```js\nlet a = "*x*";\n```\nafter', 'fence(js|let a = "*x*";)p(after)', 'a code block'],
  ['```\nopen', 'fence(|open)', 'an open fence takes the rest: it is still being streamed'],
  ['[x](https://example.com/a)', 'p(link(https://example.com/a x))', 'a link'],
  ['see https://example.com/a.', 'p(see link(https://example.com/a https://example.com/a).)', 'a bare address without its full stop'],
  ['[x](javascript:alert(1))', 'p([x](javascript:alert(1)))', 'no script address'],
  ['[x](data:text/html,hi)', 'p([x](data:text/html,hi))', 'no data address'],
  ['[x](//evil.example)', 'p([x](//evil.example))', 'no address without a scheme on another host'],
  ['![a](https://example.com/a.png)', 'p(image(https://example.com/a.png a))', 'a picture'],
  ['![a](/media/x.png)', 'p(image(/media/x.png a))', 'a picture of our own'],
  ['', '', 'nothing'],
];

for (const [input, expected, why] of rows) {
  test(`markdown: ${why}`, () => assert.equal(shape(parseMarkdown(input)), expected));
}

const growing: [input: string, expected: string, why: string][] = [
  ['*waves and', 'p(action(waves and))', 'an action that is being spoken'],
  ['she *', 'p(she *)', 'a mark with nothing after it yet'],
  ['"Hello', 'p(speech("Hello))', 'speech that is being spoken'],
  ['"Hi." *nods* "And', 'p(speech("Hi.") action(nods) speech("And))', 'speech after speech'],
  ['a **bold*', 'p(a strong(bold))', 'half of a closing mark'],
  ['||the but', 'p(spoiler(the but))', 'a spoiler is hidden from its first letter'],
  ['see `let x', 'p(see code(let x))', 'code that is being spoken'],
  ['*one\n\n*two*', 'p(*one)p(action(two))', 'only the last block is still growing'],
  ['- a\n- *b', 'ul(p(a);p(action(b)))', 'in the last item of a list'],
];

for (const [input, expected, why] of growing) {
  test(`markdown, growing: ${why}`, () => assert.equal(shape(parseMarkdown(input, true)), expected));
}

test('markdown, growing: words that are shown stay as they are shown', () => {
  const text = '*She nods.* "Not **this** one," ||no|| `x`';
  const seen = (at: number): string => shape(parseMarkdown(text.slice(0, at), true)).replace(/p\(|action\(|speech\(|strong\(|spoiler\(|code\(|[)*|`]/g, '');
  for (let at = 1; at < text.length; at += 1) {
    assert.ok(seen(at + 1).startsWith(seen(at).trimEnd()), `${seen(at)} / ${seen(at + 1)}`);
  }
});

test('markdown: an address with a name before the host is refused', () => {
  assert.equal(safeUrl('https://good.com@evil.com/', false), null);
  assert.equal(safeUrl('/\\evil.example', false), null);
  assert.equal(safeUrl('data:image/svg+xml;base64,AA', true), null);
  assert.notEqual(safeUrl('data:image/png;base64,AA', true), null);
});

test('markdown: every letter of a text survives', () => {
  const text = 'a *b* **c** "d" `e` _f_ ||g||';
  const words = (nodes: Inline[]): string =>
    nodes.map((node) => ('text' in node ? node.text : 'children' in node ? words(node.children) : '')).join('');
  assert.equal(words(parseInline(text)), 'a b c "d" e f g');
});

test('markdown: hostile input costs no more than its length', () => {
  for (const piece of ['*a ', '**a', '[', '](', '||a', '"a', '`', '_a ', '> ', '- ', '![a](', '\\', '*"_||**']) {
    const started = performance.now();
    parseMarkdown(piece.repeat(20_000));
    parseMarkdown(piece.repeat(20_000), true);
    assert.ok(performance.now() - started < 3000, `${piece} took ${performance.now() - started} ms`);
  }
});

test('markdown: plain words for lists', () => {
  assert.equal(plainText('*waves*\n\n"Hi," **she** said. ||secret|| [a](https://x.y)'), 'waves "Hi," she said. … a');
});
