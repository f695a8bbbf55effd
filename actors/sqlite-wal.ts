import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * SQLite's write-ahead log as a file (https://www.sqlite.org/fileformat2.html#walformat), read beside SQLite, which takes
 * whatever lies behind the first frame that does not check for the end of the log and says nothing.
 */
const HEADER = 32;
const FRAME_HEADER = 24;
/** `0x377f0682` or, with checksums over big-endian words, `0x377f0683`. */
const MAGIC = 0x377f0682;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;

export interface WalScan {
  /** Bytes of the file. */
  readonly size: number;
  /** What a log and all of its frames have in common, and no log before it; null where its header does not check. */
  readonly salts: string | null;
  /** Bytes of a frame; 0 where the header does not check. */
  readonly frameSize: number;
  /** Frames that check, each with all before it. */
  readonly whole: number;
  /** Those of them up to the last commit. */
  readonly committed: number;
  /** Frames behind it that were written after the log began, whether they check or not, a last one in part included. */
  readonly beyond: number;
}

export const frameOffset = (frame: number, frameSize: number): number => HEADER + (frame - 1) * frameSize;

/** The checksum goes on from that of what stands before. */
const checksum = (view: DataView, from: number, to: number, isLittle: boolean, sums: Uint32Array): void => {
  let [first = 0, second = 0] = sums;
  for (let at = from; at < to; at += 8) {
    first = (first + view.getUint32(at, isLittle) + second) | 0;
    second = (second + view.getUint32(at + 4, isLittle) + first) | 0;
  }
  sums[0] = first;
  sums[1] = second;
};

const EMPTY: WalScan = { size: 0, salts: null, frameSize: 0, whole: 0, committed: 0, beyond: 0 };

/** What a log holds; null where there is no file. It is not written to meanwhile. */
export const scanWal = (file: string): WalScan | null => {
  const handle = openLog(file);
  if (handle === null) return null;
  try {
    const { size } = fstatSync(handle);
    return size === 0 ? EMPTY : scan(handle, size);
  } finally {
    closeSync(handle);
  }
};

const openLog = (file: string): number | null => {
  try {
    return openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
};

const scan = (handle: number, size: number): WalScan => {
  const header = Buffer.alloc(HEADER);
  readSync(handle, header, 0, HEADER, 0);
  const magic = header.readUInt32BE(0);
  const isLittle = magic === MAGIC;
  const page = header.readUInt32BE(8);
  const sums = new Uint32Array(2);
  checksum(new DataView(header.buffer, header.byteOffset, HEADER), 0, HEADER - 8, isLittle, sums);
  const isHeader =
    size >= HEADER &&
    (isLittle || magic === MAGIC + 1) &&
    page >= MIN_PAGE &&
    page <= MAX_PAGE &&
    header.readUInt32BE(24) === sums[0] &&
    header.readUInt32BE(28) === sums[1];
  if (!isHeader) return { ...EMPTY, size };

  const salts = header.subarray(16, 24);
  const frameSize = FRAME_HEADER + page;
  const frame = Buffer.alloc(frameSize);
  const view = new DataView(frame.buffer, frame.byteOffset, frameSize);
  let checks = true;
  let whole = 0;
  let committed = 0;
  let last = 0;
  for (let n = 1, at = HEADER; at < size; n += 1, at += frameSize) {
    const read = readSync(handle, frame, 0, frameSize, at);
    const isOurs = read >= 16 && frame.compare(salts, 0, 8, 8, 16) === 0;
    // What an earlier log left behind begins here, or what was torn.
    if (isOurs) last = n;
    checks &&= isOurs && read === frameSize;
    if (!checks) continue;
    checksum(view, 0, 8, isLittle, sums);
    checksum(view, FRAME_HEADER, frameSize, isLittle, sums);
    checks = frame.readUInt32BE(16) === sums[0] && frame.readUInt32BE(20) === sums[1];
    if (checks) whole = n;
    if (checks && frame.readUInt32BE(4) !== 0) committed = n;
  }
  return { size, salts: salts.toString('hex'), frameSize, whole, committed, beyond: Math.max(0, last - committed) };
};

/** The salts of a log that SQLite has open, from a handle of one's own; null where it is empty. */
export const readSalts = (handle: number): string | null => {
  const salts = Buffer.alloc(8);
  return readSync(handle, salts, 0, salts.length, 16) === salts.length ? salts.toString('hex') : null;
};
