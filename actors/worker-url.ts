/**
 * Where a worker's file is: this folder, with the extension of this very file, so that it holds in the sources and in
 * the build, which does not rewrite URLs.
 */
export const workerUrl = (name: string): URL =>
  new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
