import { defineConfig } from 'vite';

// The server answers `/` and everything below `/m/` with index.html and the rest from `/assets/`, so assets are named absolutely.
export default defineConfig({
  base: '/',
  build: {
    target: 'es2022',
    // Nothing as data: URLs, so that the content security policy can forbid them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: {
    proxy: { '/api': 'http://127.0.0.1:8080', '/ws': { target: 'ws://127.0.0.1:8080', ws: true } },
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts', 'scripts/**/*.test.mjs'],
    // Laws over many random cases take their time on a slow and busy machine.
    testTimeout: 120_000,
  },
} as Parameters<typeof defineConfig>[0]);
