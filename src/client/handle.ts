import type { Event, EventType } from '../../machines/event.ts';

/** What is done with the events of each type; `'*'` with those that have none of their own. */
export type EventHandlers = { readonly [Type in EventType | '*']?: (event: Event) => void | Promise<void> };

/**
 * Hands events to their handlers, one after another in the order of `seq`: the next waits for the handler of the one
 * before. Resolves when the events end; rejects with what a handler threw.
 */
export const handleEvents = async (events: AsyncIterable<Event>, handlers: EventHandlers): Promise<void> => {
  for await (const event of events) await (handlers[event.type] ?? handlers['*'])?.(event);
};
