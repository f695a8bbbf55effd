import { filterProblem, topicProblem } from './topic-rules.ts';
import { readFields } from './wire-fields.ts';
import { type Frame, PACKET } from './wire-frames.ts';

const NO_ID = 'packet identifier 0 [MQTT-2.3.1-1]';

const publishProblem = (frame: Frame): string | null => {
  const fields = readFields(frame.buffer, frame.body, frame.end);
  const topic = fields.text();
  const id = (frame.flags & 6) === 0 ? 1 : fields.number();
  if (fields.broken !== null) return fields.broken;
  if (id === 0) return NO_ID;
  const problem = topicProblem(topic);
  return problem === null ? null : `the topic of a PUBLISH ${problem}`;
};

const filtersProblem = (frame: Frame, withQos: boolean): string | null => {
  const fields = readFields(frame.buffer, frame.body, frame.end);
  const id = fields.number();
  if (fields.broken !== null) return fields.broken;
  if (id === 0) return NO_ID;
  if (fields.atEnd())
    return withQos ? 'SUBSCRIBE without a filter [MQTT-3.8.3-3]' : 'UNSUBSCRIBE without a filter [MQTT-3.10.3-2]';
  while (!fields.atEnd()) {
    const filter = fields.text();
    const qos = withQos ? fields.byte() : 0;
    if (fields.broken !== null) return fields.broken;
    if (qos > 2) return 'requested QoS is not 0, 1 or 2 [MQTT-3-8.3-4]';
    const problem = filterProblem(filter);
    if (problem !== null) return `a topic filter ${problem}`;
  }
  return null;
};

/** What is wrong with a packet after CONNECT, by its body; its fixed header is right already. Null where nothing is. */
export const packetProblem = (frame: Frame): string | null => {
  switch (frame.type) {
    case PACKET.publish:
      return publishProblem(frame);
    case PACKET.subscribe:
      return filtersProblem(frame, true);
    case PACKET.unsubscribe:
      return filtersProblem(frame, false);
    case PACKET.connect:
      return 'a second CONNECT [MQTT-3.1.0-2]';
    case PACKET.pingreq:
    case PACKET.disconnect:
      return null;
    default:
      return frame.buffer.readUInt16BE(frame.body) === 0 ? NO_ID : null;
  }
};

/** The filters of a valid SUBSCRIBE, in order. */
export const subscribedFilters = (frame: Frame): { readonly id: number; readonly filters: readonly string[] } => {
  const fields = readFields(frame.buffer, frame.body, frame.end);
  const id = fields.number();
  const filters: string[] = [];
  while (!fields.atEnd()) {
    filters.push(fields.text());
    fields.byte();
  }
  return { id, filters };
};
