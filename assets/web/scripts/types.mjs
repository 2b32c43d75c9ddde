// Writes src/api/types.ts from openapi.json: each named schema becomes an interface, with its help as the comment.
// The server's tables are the one source of these shapes; a shape that no table has is in src/api/common.ts.
//
//   node scripts/types.mjs           write
//   node scripts/types.mjs --check   fail when the file is stale
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, 'src', 'api', 'types.ts');
const api = JSON.parse(readFileSync(join(root, 'openapi.json'), 'utf8'));

const nameOf = (ref) => ref.slice(ref.lastIndexOf('/') + 1);
const many = (type) => (/[ |]/.test(type) ? `(${type})[]` : `${type}[]`);
const keyOf = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

function typeOf(schema, indent) {
  if (schema === true || schema === undefined) return 'unknown';
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value).replaceAll('"', "'")).join(' | ');
  for (const word of ['anyOf', 'oneOf']) if (schema[word]) return schema[word].map((one) => typeOf(one, indent)).join(' | ');
  if (schema.allOf) return schema.allOf.map((one) => typeOf(one, indent)).join(' & ');
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type }, indent)).join(' | ');
  switch (schema.type) {
    case 'integer':
    case 'number':
      return 'number';
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type;
    case 'array':
      return many(typeOf(schema.items, indent));
    case 'object':
      return schema.properties ? objectOf(schema, indent) : `Record<string, ${typeOf(schema.additionalProperties || undefined, indent)}>`;
    default:
      return 'unknown';
  }
}

function objectOf(schema, indent = '') {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const help = property?.description ? `${indent}  /** ${property.description.replaceAll('*/', '* /')} */\n` : '';
    return `${help}${indent}  ${keyOf(name)}${required.has(name) ? '' : '?'}: ${typeOf(property, `${indent}  `)};\n`;
  });
  return `{\n${rows.join('')}${indent}}`;
}

const schemas = Object.entries(api.components.schemas).sort(([a], [b]) => (a < b ? -1 : 1));
const blocks = schemas.map(([name, schema]) => {
  const help = schema.description ? `/** ${schema.description} */\n` : '';
  return schema.type === 'object' && schema.properties
    ? `${help}export interface ${name} ${objectOf(schema)}\n`
    : `${help}export type ${name} = ${typeOf(schema, '')};\n`;
});
const text = `// The objects of the API. Written by scripts/types.mjs from openapi.json: change the server, then run \`./dev types\`.\n\n${blocks.join('\n')}`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    console.error('src/api/types.ts is stale: run ./dev types');
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
