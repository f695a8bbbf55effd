import { createMemoryBus } from '../../brokers/memory.ts';
import { runBusContract } from '../contract/bus.ts';

runBusContract('memory', async (options) => createMemoryBus(options));
