import { readFileSync } from 'node:fs';

/** The package's version: from its `package.json`, one folder up in the sources and two in the build. */
export const VERSION: string = ((): string => {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      // The other place.
    }
  }
  return '0.0.0';
})();
