import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '../../src/lib/backoff';
import { revealEnd } from '../../src/lib/reveal';
import { SseReader } from '../../src/lib/sse';
import { passwordAdvice } from '../../src/lib/password';
import { beginning, bucketOf, deviceOf, fillMacros, initials, splitList } from '../../src/lib/text';
import { shortMoment } from '../../src/lib/time';

test('text: initials of all kinds of names', () => {
  const rows: [string, string][] = [
    ['Mira', 'M'],
    ['dame emmot thurlby', 'DT'],
    ['  ', '?'],
    ['🦊 Fox', '🦊F'],
  ];
  rows.forEach(([name, letters]) => assert.equal(initials(name), letters));
});

test('text: a beginning ends with a whole word, and says that there is more', () => {
  const rows: [string, number, string][] = [
    ['short', 5, 'short'],
    ['one two three', 7, 'one two…'],
    ['one two three', 9, 'one two…'],
    ['  one\n two ', 20, 'one two'],
    ['unbreakable', 5, 'unbre…'],
    ['', 5, ''],
  ];
  rows.forEach(([text, most, told]) => assert.equal(beginning(text, most), told));
});

test('text: a device is called by its browser and system', () => {
  const rows: [string, string][] = [
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36', 'Chrome, Linux'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0', 'Edge, Windows'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1', 'Safari, iPhone'],
    ['Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0', 'Firefox, Android'],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:131.0) Gecko/20100101 Firefox/131.0', 'Firefox, macOS'],
    ['node', 'node'],
    ['', ''],
  ];
  rows.forEach(([agent, told]) => assert.equal(deviceOf(agent), told));
});

test('text: a name keeps its colour, and colours differ', () => {
  assert.equal(bucketOf('Mira', 6), bucketOf('Mira', 6));
  assert.ok(new Set(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => bucketOf(name, 6))).size > 2);
});

test('text: macros, counts, lists', () => {
  assert.equal(fillMacros('{{Char}} greets {{user}} and <USER>', 'Mira', '$& Olive'), 'Mira greets $& Olive and $& Olive');
  assert.deepEqual(splitList(' a, b ,,a'), ['a', 'b']);
});

test('text: password advice rises with the length', () => {
  const levels = ['', 'short', 'aaaaaaaaaaaaaaaa', 'ninechars', 'a long enough phrase'].map((word) => passwordAdvice(word).level);
  assert.deepEqual(levels, [0, 0, 1, 2, 3]);
});

test('time: moments as people say them', () => {
  const now = new Date('2026-11-21T12:00:00');
  const rows: [string | null, string][] = [
    [null, ''],
    ['nonsense', ''],
    ['2026-11-21T11:59:30', 'just now'],
    ['2026-11-21T11:40:00', '20 min ago'],
    ['2026-11-21T08:05:00', '08:05'],
    ['2026-11-18T08:05:00', 'Wednesday'],
    ['2026-03-02T08:05:00', '2 Mar'],
    ['2024-03-02T08:05:00', '2 Mar 2024'],
  ];
  rows.forEach(([iso, words]) => assert.equal(shortMoment(iso, now, 'en-GB'), words));
});

test('reveal: drains evenly, ends exactly, splits no letter', () => {
  const text = 'x'.repeat(400);
  let shown = 0;
  let frames = 0;
  while (shown < text.length) {
    const next = revealEnd(text, shown, 16, false);
    assert.ok(next > shown && next <= text.length);
    shown = next;
    frames += 1;
  }
  assert.ok(frames > 5 && frames < 60, `${frames} frames`);
  assert.ok(revealEnd(text, 0, 160, false) > 300, 'a device that draws seldom falls no further behind');
  assert.equal(revealEnd(text, 0, 16, true), 400, 'all at once when motion is unwelcome');
  assert.equal(revealEnd('a🦊🦊🦊🦊🦊🦊🦊', 0, 16, false), 3, 'not inside a surrogate pair');
});

test('backoff: grows, is capped, is never in step', () => {
  assert.equal(backoffMs(0, () => 0.5), 500);
  assert.equal(backoffMs(99, () => 0.5), 30000);
  assert.ok(backoffMs(3, () => 0) < backoffMs(3, () => 1));
});

test('sse: any cut of the bytes gives the same events', () => {
  const wire = ': hello\r\nid: 7\r\nevent: a\r\ndata: one\r\ndata: two\r\n\r\ndata:x\n\nid: 9\ndata: {"y":1}\n\n';
  const expected = [
    { event: 'a', data: 'one\ntwo', id: '7' },
    { event: 'message', data: 'x', id: '7' },
    { event: 'message', data: '{"y":1}', id: '9' },
  ];
  for (let cut = 1; cut < wire.length; cut += 1) {
    const reader = new SseReader();
    const events = [...reader.push(wire.slice(0, cut)), ...reader.push(wire.slice(cut))];
    assert.deepEqual(events, expected, `cut at ${cut}`);
  }
});
