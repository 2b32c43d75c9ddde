// Builds the app into dist/, which the binary embeds. Names in dist/assets/ carry a hash of their content, so the
// server may let browsers keep them for ever; index.html is the only file that is asked for again.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

// During `npm run dev` the API of a running server answers; TROUPE_URL names another one.
const server = process.env.TROUPE_URL ?? 'http://127.0.0.1:8420';

const SHARED = /\/src\/(?:parts\/(?:CodeBlock|Dialog|Field|Markdown|Menu|Notice|Portrait|Spoiler)\.svelte|lib\/(?:text|time)\.ts)/;

/**
 * Tells the service worker which files are the shell: every script and style sheet, the fonts of a first visit, and what
 * stands beside index.html. Words of other languages and seldom letters are kept when they are first read.
 */
function shell(): Plugin {
  return {
    name: 'troupe-shell',
    apply: 'build',
    enforce: 'post',
    generateBundle(_, bundle) {
      const worker = bundle['sw.js'];
      if (worker?.type !== 'chunk') {
        this.error('sw.js was not built');
      }
      const beside = readdirSync('public').filter((name) => !/^icon-/.test(name));
      const built = Object.keys(bundle).filter((name) => /^assets\/.+\.(?:js|css)$|-core-.+\.woff2$/.test(name) && !/assets\/words-/.test(name));
      const files = ['/', ...beside.map((name) => `/${name}`), ...built.sort().map((name) => `/${name}`)];
      const print = createHash('sha256').update(files.join('\n')).update(readFileSync('index.html'));
      beside.sort().forEach((name) => print.update(readFileSync(`public/${name}`)));
      const value = JSON.stringify({ version: print.digest('hex').slice(0, 16), files });
      worker.code = `const __SHELL__=${value};${worker.code}`;
    },
  };
}

export default defineConfig({
  plugins: [svelte(), shell()],
  build: {
    target: 'es2022',
    // The Content-Security-Policy allows fonts and styles from our own origin only, never data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      input: { index: 'index.html', sw: 'sw/sw.ts' },
      output: {
        // What nearly every page needs comes in one piece with the framework: a phone that opens a talk asks for four scripts, not for sixteen.
        manualChunks: (id) => (SHARED.test(id) ? 'parts' : undefined),
        entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
        // The words of a language are told from the page of the same name.
        chunkFileNames: ({ facadeModuleId }) => {
          const words = /locales\/(\w+)\/(\w+)\.json$/.exec(facadeModuleId ?? '');
          return words ? `assets/words-${words[1]}-${words[2]}-[hash].js` : 'assets/[name]-[hash].js';
        },
      },
    },
  },
  // A sentence file is read as one object.
  json: { namedExports: false },
  server: {
    fs: { allow: ['..'] },
    proxy: {
      '/api': server,
      '/media': server,
      '/ws': { target: server.replace(/^http/, 'ws'), ws: true },
    },
  },
});
