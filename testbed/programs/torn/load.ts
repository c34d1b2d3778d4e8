/**
 * A process that works on a directory until its kernel ends: `load.ts DIRECTORY SEED COUNTERS`. It prints
 * each answered operation on its standard output as well, for the scenario outside.
 */
import { writeSync } from 'node:fs'
import { Counters } from './counters.ts'
import { Operations } from './operations.ts'

const [directory = '', seed = '', ram = ''] = process.argv.slice(2)
const counters = new Counters(ram)
const operations = new Operations(Number(seed))
for (;;) {
  const act = operations.next()
  counters.begin(operations.count)
  act(directory)
  counters.acknowledge(operations.count)
  writeSync(1, `did ${operations.count}\n`)
}
