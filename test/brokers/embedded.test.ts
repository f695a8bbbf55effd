import { openPolicy } from '../../brokers/access.ts';
import { createEmbeddedBroker } from '../../brokers/embedded.ts';
import { runBusContract } from '../contract/bus.ts';

runBusContract('embedded', (options = {}) => createEmbeddedBroker({ policy: openPolicy, ...options }));
