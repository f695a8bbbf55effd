import cliProgress from 'cli-progress';
import { oneLine } from './text.ts';

/** How far one execution is, for whoever looks at the terminal. */
export interface ProgressDisplay {
  update(progress: number, message: string | null): void;
  /** Writes something else; the bar makes room. */
  write(stream: NodeJS.WritableStream, text: string): void;
  end(): void;
}

/** Percent between two plain lines. */
const STEP = 10;
const MESSAGE = 40;

/** Which progress is worth a line where no bar can be drawn: the first, each further step, and the end. */
export const createMilestones = (step = STEP): ((progress: number) => boolean) => {
  let next = 0;
  return (progress) => {
    if (progress < next) return false;
    next = progress >= 100 ? Number.POSITIVE_INFINITY : Math.floor(progress / step) * step + step;
    return true;
  };
};

const createLines = (label: string, stream: NodeJS.WritableStream): ProgressDisplay => {
  const isMilestone = createMilestones();
  return {
    update: (progress, message) => {
      if (!isMilestone(progress)) return;
      stream.write(
        `${label} ${Math.round(progress)} %${message === null ? '' : ` ${oneLine(message, MESSAGE * 2)}`}\n`,
      );
    },
    write: (to, text) => void to.write(text),
    end: () => undefined,
  };
};

const createBar = (label: string, stream: NodeJS.WriteStream): ProgressDisplay => {
  const bar = new cliProgress.SingleBar(
    {
      format: `${label} {bar} {percentage} %  {message}`,
      stream,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 30,
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  );
  let current = 0;
  let message = '';
  const show = (): void => bar.start(100, current, { message });
  show();
  /** What was written without a line feed: it waits, so that the bar does not stand behind it. */
  const rests = new Map<NodeJS.WritableStream, string>();
  return {
    update: (progress, said) => {
      current = Math.round(progress);
      if (said !== null) message = oneLine(said, MESSAGE);
      bar.update(current, { message });
    },
    write: (to, text) => {
      const all = (rests.get(to) ?? '') + text;
      const end = all.lastIndexOf('\n') + 1;
      rests.set(to, all.slice(end));
      if (end === 0) return;
      // Stopping takes the cursor back to where the bar began, so it has to begin anew behind each text.
      bar.stop();
      to.write(all.slice(0, end));
      show();
    },
    end: () => {
      bar.stop();
      for (const [to, rest] of rests) if (rest !== '') to.write(`${rest}\n`);
    },
  };
};

/** A bar where `stream` is a terminal, plain lines otherwise. */
export const createProgressDisplay = (label: string, stream: NodeJS.WriteStream): ProgressDisplay =>
  stream.isTTY ? createBar(label, stream) : createLines(label, stream);
