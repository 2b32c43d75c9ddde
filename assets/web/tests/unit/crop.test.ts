// The geometry of cutting a picture to a frame.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutOf, held } from '../../src/lib/crop';

const frame = { width: 300, height: 300 };
const rows: { why: string; picture: { width: number; height: number }; view: { x: number; y: number; zoom: number }; cut: number[] }[] = [
  { why: 'a square fills a square', picture: { width: 600, height: 600 }, view: { x: 0, y: 0, zoom: 1 }, cut: [0, 0, 600, 600] },
  { why: 'of a wide one the middle', picture: { width: 1200, height: 600 }, view: { x: 0, y: 0, zoom: 1 }, cut: [300, 0, 600, 600] },
  { why: 'moved as far as it goes, no further', picture: { width: 1200, height: 600 }, view: { x: 9999, y: 9999, zoom: 1 }, cut: [0, 0, 600, 600] },
  { why: 'zoomed in twice', picture: { width: 600, height: 600 }, view: { x: 0, y: 0, zoom: 2 }, cut: [150, 150, 300, 300] },
  { why: 'smaller than the frame is drawn larger', picture: { width: 30, height: 60 }, view: { x: 0, y: 0, zoom: 0.1 }, cut: [0, 15, 30, 30] },
];

for (const { why, picture, view, cut } of rows) {
  test(`crop: ${why}`, () => {
    const found = cutOf(picture, frame, held(picture, frame, view));
    assert.deepEqual([found.x, found.y, found.width, found.height].map((value) => Math.round(value)), cut);
  });
}
