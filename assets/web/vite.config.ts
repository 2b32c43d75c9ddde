// Builds the app into dist/, which the binary embeds. Names in dist/assets/ carry a hash of their content, so the
// server may let browsers keep them for ever; index.html is the only file that is asked for again.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// During `npm run dev` the API of a running server answers; TROUPE_URL names another one.
const server = process.env.TROUPE_URL ?? 'http://127.0.0.1:8420';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The Content-Security-Policy allows fonts and styles from our own origin only, never data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: {
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
