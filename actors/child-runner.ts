import { createActor } from 'xstate';
import { child, type ChildContext, type ChildEffect, type ChildMessage, type ChildSpec } from '../machines/child.ts';
import type { Clock } from './clock.ts';

/** A supervised child's machine with its timer: says when to start, kill and report; is told what happens. */
export interface ChildRunner {
  tell(message: ChildMessage): void;
  readonly incarnation: () => number;
  /** Forgets the child without killing it. */
  dispose(): void;
}

/** Opens the child at once: its first `start` comes before this returns. */
export const createChildRunner = (
  spec: ChildSpec,
  clock: Clock,
  onEffect: (effect: ChildEffect) => void,
): ChildRunner => {
  let timer: NodeJS.Timeout | undefined;
  const actor = createActor(child);
  const context = (): ChildContext => actor.getSnapshot().context;

  const take = (message: ChildMessage | { readonly type: 'deadline' }): void => {
    actor.send({ ...message, at: clock(), random: Math.random() });
    clearTimeout(timer);
    const { deadline } = context();
    if (deadline === null) return;
    timer = setTimeout(() => take({ type: 'deadline' }), Math.max(deadline - clock(), 1));
  };

  actor.on('*', (effect) => onEffect(effect as unknown as ChildEffect));
  actor.subscribe({ error: () => {} });
  actor.start();
  take({ type: 'child.open', spec });
  return {
    tell: take,
    incarnation: () => context().incarnation,
    dispose: () => {
      clearTimeout(timer);
      actor.stop();
    },
  };
};
