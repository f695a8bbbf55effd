import cliProgress from 'cli-progress';
import { createMilestones } from './progress.ts';

/** The progress of one execution as each of several clients sees it. */
export interface DemoProgress {
  update(label: string, progress: number): void;
  end(): void;
}

/** A bar for each client in a terminal, else a line at each tenth that one of them is told of. */
export const createDemoProgress = (labels: readonly string[], stream: NodeJS.WriteStream): DemoProgress => {
  const width = Math.max(...labels.map((label) => label.length));
  if (stream.isTTY) {
    const bars = new cliProgress.MultiBar(
      { format: '  {label}  {bar} {percentage} %', stream, hideCursor: true, barsize: 30, gracefulExit: false },
      cliProgress.Presets.shades_classic,
    );
    const byLabel = new Map(labels.map((label) => [label, bars.create(100, 0, { label: label.padEnd(width) })]));
    let isOver = false;
    return {
      update: (label, progress) => byLabel.get(label)?.update(Math.round(progress)),
      end: () => {
        // Stopped twice, it would write over what came after it.
        if (!isOver) bars.stop();
        isOver = true;
      },
    };
  }
  const milestones = new Map(labels.map((label) => [label, createMilestones(50)]));
  return {
    update: (label, progress) => {
      if (milestones.get(label)?.(progress)) stream.write(`  ${label.padEnd(width)}  ${Math.round(progress)} %\n`);
    },
    end: () => undefined,
  };
};
