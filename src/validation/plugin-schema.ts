/** The part of JSON Schema that describes a plugin's keys; also what editors get, in `schemas/`. */
export interface ValueSchema {
  readonly type?: ValueType
  readonly description?: string
  /** What a pattern wants, for messages: `must be …`. */
  readonly $comment?: string
  readonly enum?: readonly (string | number)[]
  readonly minimum?: number
  readonly maximum?: number
  readonly pattern?: string
  readonly format?: ValueFormat
  readonly minItems?: number
  readonly items?: ValueSchema
  readonly properties?: Readonly<Record<string, ValueSchema>>
  readonly required?: readonly string[]
  /** Of an object whose keys are free. */
  readonly additionalProperties?: ValueSchema
}

/** Types as JSON Schema names them. */
export type ValueType = 'string' | 'integer' | 'number' | 'boolean' | 'object' | 'array'

/** Formats beyond the standard's; a validator that does not know them passes over them. */
export type ValueFormat = 'ip' | 'cidr' | 'mac' | 'interface-name'

/** A plugin's configuration as a whole. */
export type PluginSchema = ValueSchema & { readonly properties: Readonly<Record<string, ValueSchema>> }

export const text = (description: string): ValueSchema => ({ type: 'string', description })
export const flag = (description: string): ValueSchema => ({ type: 'boolean', description })
export const interfaceName = (description: string): ValueSchema => ({
  type: 'string',
  format: 'interface-name',
  description,
})
export const ip = (description: string): ValueSchema => ({ type: 'string', format: 'ip', description })
export const cidr = (description: string): ValueSchema => ({ type: 'string', format: 'cidr', description })
export const mac = (description: string): ValueSchema => ({ type: 'string', format: 'mac', description })
export const list = (items: ValueSchema, description: string): ValueSchema => ({
  type: 'array',
  items,
  description,
})
export const integer = (description: string, minimum: number, maximum?: number): ValueSchema => ({
  type: 'integer',
  minimum,
  ...(maximum === undefined ? {} : { maximum }),
  description,
})
export const choice = (values: readonly string[], description: string): ValueSchema => ({
  type: 'string',
  enum: values,
  description,
})
export const absolutePath = (description: string): ValueSchema => ({
  type: 'string',
  pattern: '^/',
  $comment: 'an absolute path',
  description,
})
export const object = (
  properties: Readonly<Record<string, ValueSchema>>,
  description: string,
  required: readonly string[] = [],
): ValueSchema => ({
  type: 'object',
  properties,
  ...(required.length === 0 ? {} : { required }),
  description,
})

export const mtu = integer('MTU of the interface; 0 is the default of the plugin.', 0, 65536)
export const vlan = (description: string): ValueSchema => integer(description, 0, 4094)

/** Routes of an IPAM plugin. */
export const routes: ValueSchema = list(
  object(
    {
      dst: cidr('Destination.'),
      gw: ip('Gateway; absent for the one of the address.'),
      mtu: integer('Path MTU.', 0),
      advmss: integer('Maximal segment size to advertise.', 0),
      priority: integer('Metric.', 0),
      table: integer('Routing table.', 0),
      scope: integer('Scope.', 0, 255),
    },
    'A route.',
    ['dst'],
  ),
  'Routes in the pod.',
)

const strings = (description: string): ValueSchema => list(text('One of them.'), description)

const dns: ValueSchema = object(
  {
    nameservers: strings('Addresses of name servers.'),
    domain: text('Local domain.'),
    search: strings('Search domains.'),
    options: strings('Options of the resolver.'),
  },
  'DNS settings of the result.',
)

/** Keys that every plugin's configuration may have. CNI specification, "Plugin configuration objects". */
const COMMON: Readonly<Record<string, ValueSchema>> = {
  cniVersion: text('CNI version of the configuration.'),
  name: text('Name of the network.'),
  capabilities: {
    type: 'object',
    additionalProperties: flag('Whether the plugin takes it.'),
    description: 'What the plugin takes from the pod or the runtime.',
  },
  ipam: { type: 'object', description: 'The IPAM plugin and its keys.' },
  dns,
  args: { type: 'object', description: 'Further arguments; `cni` in it is the convention.' },
  runtimeConfig: { type: 'object', description: 'Set by the runtime.' },
  prevResult: { type: 'object', description: 'Set by the runtime.' },
  ipMasq: flag('Whether traffic that leaves the network is masqueraded.'),
}

/** Schema of a plugin with its own keys beside the common ones. */
export function pluginSchema(
  type: string,
  description: string,
  properties: Readonly<Record<string, ValueSchema>>,
  required: readonly string[] = [],
): PluginSchema {
  return {
    type: 'object',
    description,
    properties: {
      type: { type: 'string', enum: [type], description: 'Plugin type.' },
      ...COMMON,
      ...properties,
    },
    required: ['type', ...required],
  }
}

/** Schema of what stands in `ipam` for an IPAM plugin. */
export function ipamSchema(
  type: string,
  description: string,
  properties: Readonly<Record<string, ValueSchema>>,
): PluginSchema {
  return {
    type: 'object',
    description,
    properties: { type: { type: 'string', enum: [type], description: 'Plugin type.' }, ...properties },
    required: ['type'],
  }
}
