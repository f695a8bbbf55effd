import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the gateway counts. Labels are bounded: names of operations, statuses and codes, never ids. */
export interface GatewayMetrics {
  /** One answered call; `seconds` from its arrival. */
  answered(binding: 'http' | 'mqtt', operation: string, status: number, seconds: number): void;
  failedLogin(binding: 'http' | 'mqtt'): void;
  /** A limit was reached; `reason` says which. */
  limited(reason: string): void;
  streamCut(): void;
}

export interface Gauges {
  readonly streams: () => number;
  readonly waiters: () => number;
  readonly mqttConnections: () => number;
  readonly presentClients: () => number;
}

export const createGatewayMetrics = (register: Registry, gauges: Gauges): GatewayMetrics => {
  const registers = [register];
  const answered = new Histogram({
    name: 'arbor_call_seconds',
    help: 'Time from the arrival of a call to its answer, waits included',
    labelNames: ['binding', 'operation', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10, 60],
    registers,
  });
  const failedLogins = new Counter({
    name: 'arbor_failed_logins_total',
    help: 'Calls and connections without valid credentials',
    labelNames: ['binding'],
    registers,
  });
  const streamsCut = new Counter({
    name: 'arbor_streams_cut_total',
    help: 'Event streams ended because their reader did not keep up',
    registers,
  });
  const limited = new Counter({
    name: 'arbor_limited_total',
    help: 'Calls refused because a limit was reached, by the limit',
    labelNames: ['reason'],
    registers,
  });
  const gauge = (name: string, help: string, read: () => number): void =>
    void new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('arbor_streams', 'Long-polls and event streams that are open', gauges.streams);
  gauge('arbor_waiters', 'Calls that wait for the end of an execution', gauges.waiters);
  gauge('arbor_mqtt_connections', 'MQTT clients that are logged in', gauges.mqttConnections);
  gauge('arbor_present_clients', 'Clients with a connection or a recent request', gauges.presentClients);
  return {
    answered: (binding, operation, status, seconds) => answered.observe({ binding, operation, status }, seconds),
    failedLogin: (binding) => failedLogins.inc({ binding }),
    limited: (reason) => limited.inc({ reason }),
    streamCut: () => streamsCut.inc(),
  };
};
