/** Processors that a machine has or could have (`query-hotpluggable-cpus`, qapi/machine.json). */
import * as v from 'valibot'
import { type Ask, unlessRefused } from './ask.ts'

const ProcessorSchema = v.object({
  type: v.string(),
  /** Its place: `socket-id`, `core-id`, … */
  props: v.record(v.string(), v.unknown()),
  /** undefined: it is not plugged. */
  'qom-path': v.optional(v.string()),
})
export type Processor = v.InferOutput<typeof ProcessorSchema>

/** None of a machine type without hot-plug of processors, which has no such command. */
export const readProcessors = (ask: Ask): Promise<Processor[]> =>
  unlessRefused(ask(v.array(ProcessorSchema), 'query-hotpluggable-cpus'), [])

export const processorItem = ({ type, props, 'qom-path': path }: Processor): string =>
  `${type} ${JSON.stringify(props)}: ${path === undefined ? 'not plugged' : 'plugged'}`
