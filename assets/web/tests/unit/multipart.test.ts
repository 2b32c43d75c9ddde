// A form of files: the bytes are those that a browser would send, and each file begins where it is said to.
import './browserish';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesForm } from '../../src/lib/multipart';

test('multipart: every file stands at its place, its name cannot break out of the line, and the same files are the same bytes', async () => {
  const files = [
    new File(['{"name":"A"}'], 'a.json', { type: 'application/json' }),
    new File([new Uint8Array([0, 13, 10, 255])], 'two "quoted"\r\nX-Evil: 1.png'),
    new File([], 'Übel – 猫.json'),
  ];
  const { body, starts } = filesForm('files', files, 'b0undary');
  assert.equal(body.type, 'multipart/form-data; boundary=b0undary');
  for (const [at, file] of files.entries()) {
    const bytes = await body.slice(starts[at], (starts[at] ?? 0) + file.size).arrayBuffer();
    assert.deepEqual(new Uint8Array(bytes), new Uint8Array(await file.arrayBuffer()), file.name);
  }
  const form = await new Response(body, { headers: { 'Content-Type': body.type } }).formData();
  const names = form.getAll('files').map((part) => (part as File).name);
  assert.equal(names.length, 3);
  assert.deepEqual([names[0], names[2]], ['a.json', 'Übel – 猫.json']);
  assert.doesNotMatch(await body.text(), /^X-Evil/m);
  const again = filesForm('files', files, 'b0undary');
  assert.deepEqual(new Uint8Array(await again.body.arrayBuffer()), new Uint8Array(await body.arrayBuffer()));
});
