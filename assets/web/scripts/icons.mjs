// Draws public/icon.svg as the PNG files that a home screen wants: 192, 512, 180 for iOS, and one with room around it
// that a launcher may cut to any shape. The art is flat shapes of straight lines and cubic curves, so that a scan with
// sixteen samples to a pixel is all it takes and no drawing library is needed.
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 as zlibCrc, deflateSync } from 'node:zlib';

const script = fileURLToPath(import.meta.url);
const root = dirname(dirname(script));
const svg = readFileSync(join(root, 'public', 'icon.svg'), 'utf8');
const SIDE = 64; // of the view box
const SAMPLES = 4; // each way
const CURVE_STEPS = 24;

/** Path data with M, h, v, c, z to a polygon. */
function polygon(data) {
  const points = [];
  let [x, y] = [0, 0];
  for (const [, command, rest] of data.matchAll(/([Mhvcz])([^Mhvcz]*)/g)) {
    const n = [...rest.matchAll(/-?(?:\d+\.?\d*|\.\d+)/g)].map(Number);
    if (command === 'M') [x, y] = n;
    else if (command === 'h') x += n[0];
    else if (command === 'v') y += n[0];
    for (let at = 0; command === 'c' && at + 5 < n.length; at += 6) {
      const [ax, ay, bx, by, ex, ey] = n.slice(at, at + 6);
      for (let step = 1; step <= CURVE_STEPS; step += 1) {
        const t = step / CURVE_STEPS;
        const [p, q, r] = [3 * (1 - t) ** 2 * t, 3 * (1 - t) * t ** 2, t ** 3];
        points.push([x + p * ax + q * bx + r * ex, y + p * ay + q * by + r * ey]);
      }
      [x, y] = [x + ex, y + ey];
    }
    points.push([x, y]);
  }
  return points;
}

const colour = (text) => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));
const ground = colour(/<rect[^>]*fill="(#\w{6})"/.exec(svg)[1]);
const radius = Number(/<rect[^>]*rx="(\d+)"/.exec(svg)[1]);
const shapes = [...svg.matchAll(/<path d="([^"]+)" fill="(#\w{6})"/g)].map(([, data, fill]) => ({ points: polygon(data), fill: colour(fill) }));

/** Where a line of the view box enters and leaves a shape, in order. */
function crossings(points, y) {
  const found = [];
  for (let at = 0, before = points.length - 1; at < points.length; before = at, at += 1) {
    const [[ax, ay], [bx, by]] = [points[at], points[before]];
    if (ay > y !== by > y) found.push(((bx - ax) * (y - ay)) / (by - ay) + ax);
  }
  return found.sort((a, b) => a - b);
}

/** How far the ground reaches on a line: all of it, or between the rounded corners. */
function groundOf(y, full) {
  const dy = Math.max(radius - y, y - (SIDE - radius), 0);
  const inset = full || dy === 0 ? 0 : radius - Math.sqrt(Math.max(0, radius * radius - dy * dy));
  return [inset, SIDE - inset];
}

/** One line of samples: the colour of each, or nothing outside the ground. */
function line(y, count, { full, scale }) {
  const middle = SIDE / 2;
  const [from, to] = groundOf(y, full);
  const cuts = shapes.map((shape) => crossings(shape.points, (y - middle) / scale + middle));
  return Array.from({ length: count }, (_, at) => {
    const x = ((at + 0.5) * SIDE) / count;
    if (x < from || x > to) return null;
    const ux = (x - middle) / scale + middle;
    const top = shapes.findLastIndex((_, index) => cuts[index].filter((cut) => cut < ux).length % 2 === 1);
    return top < 0 ? ground : shapes[top].fill;
  });
}

function draw(size, options) {
  const rows = Buffer.alloc(size * (size * 4 + 1)); // each row begins with its filter: 0, none
  const fine = size * SAMPLES;
  for (let y = 0; y < size; y += 1) {
    const lines = Array.from({ length: SAMPLES }, (_, at) => line(((y * SAMPLES + at + 0.5) * SIDE) / fine, fine, options));
    for (let x = 0; x < size; x += 1) {
      const found = lines.flatMap((row) => row.slice(x * SAMPLES, (x + 1) * SAMPLES)).filter(Boolean);
      const to = y * (size * 4 + 1) + 1 + x * 4;
      for (let part = 0; part < 3 && found.length > 0; part += 1) {
        rows[to + part] = Math.round(found.reduce((sum, fill) => sum + fill[part], 0) / found.length);
      }
      rows[to + 3] = Math.round((255 * found.length) / (SAMPLES * SAMPLES));
    }
  }
  return rows;
}

/** PNG, section 5.3: length, type, data, CRC-32 of type and data. Node 18 has no crc32 of its own. */
const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});
const crc = zlibCrc ?? ((bytes) => ~bytes.reduce((sum, byte) => (sum >>> 8) ^ table[(sum ^ byte) & 255], ~0) >>> 0);

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc(body) >>> 0);
  return Buffer.concat([length, body, sum]);
}

function png(size, options) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(size, 0);
  head.writeUInt32BE(size, 4);
  head.set([8, 6, 0, 0, 0], 8); // eight bits a part, red green blue alpha
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', deflateSync(draw(size, options), { level: 9 })), chunk('IEND', Buffer.alloc(0))]);
}

for (const [name, size, options] of [
  ['icon-192.png', 192, { full: false, scale: 1 }],
  ['icon-512.png', 512, { full: false, scale: 1 }],
  ['icon-180.png', 180, { full: true, scale: 0.9 }],
  ['icon-maskable.png', 512, { full: true, scale: 0.78 }], // the middle four fifths are never cut away
]) {
  const path = join(root, 'public', name);
  const sources = [script, join(root, 'public', 'icon.svg')];
  if (!existsSync(path) || sources.some((source) => statSync(source).mtimeMs > statSync(path).mtimeMs)) {
    writeFileSync(path, png(size, options));
  }
}
