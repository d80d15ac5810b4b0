import { daemonConfSchema } from '../src/config/daemon-conf-schema.ts'
import { netConfSchema } from '../src/config/net-conf-schema.ts'
import { CHAINED_PLUGIN_SCHEMAS } from '../src/validation/chained-plugin-schemas.ts'
import { IPAM_PLUGIN_SCHEMAS } from '../src/validation/ipam-plugin-schemas.ts'
import { MAIN_PLUGIN_SCHEMAS } from '../src/validation/main-plugin-schemas.ts'

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

const configurations = { ...MAIN_PLUGIN_SCHEMAS, ...CHAINED_PLUGIN_SCHEMAS }

/** A schema for each type, chosen by the key `type`; other types are free. */
function byType(types: readonly string[], reference: (type: string) => string): object[] {
  return types.map((type) => ({
    if: { type: 'object', properties: { type: { const: type } }, required: ['type'] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { $ref: reference(type) },
  }))
}

const plugin = {
  type: 'object',
  required: ['type'],
  properties: {
    type: { type: 'string', minLength: 1, description: 'Plugin type.' },
    ipam: { type: 'object', allOf: byType(Object.keys(IPAM_PLUGIN_SCHEMAS), (type) => `ipam/${type}.json`) },
  },
  allOf: byType(Object.keys(configurations), (type) => `plugin/${type}.json`),
}

const networkConfiguration = {
  title: 'A CNI network configuration: one plugin, or a list of them',
  type: 'object',
  properties: {
    name: { type: 'string', description: 'Name of the network.' },
    cniVersion: { type: 'string', description: 'CNI version that its plugins are called in.' },
    cniVersions: {
      type: 'array',
      items: { type: 'string' },
      description: 'Further versions that they speak.',
    },
    disableCheck: { type: ['boolean', 'string'], description: 'Whether CHECK is never called.' },
    disableGC: { type: ['boolean', 'string'], description: 'Whether GC is never called.' },
    loadOnlyInlinedPlugins: {
      type: ['boolean', 'string'],
      description: 'Whether plugins of the folder beside the file are passed over.',
    },
    plugins: { type: 'array', minItems: 1, items: plugin, description: 'Plugins in the order of ADD.' },
  },
  anyOf: [{ required: ['plugins'] }, plugin],
}

/** The JSON Schemas for editors: path from the repository's root → content. Those of the plugins are the ones that `plexus validate` uses. */
export function schemaFiles(): Map<string, string> {
  const schemas: Record<string, object> = {
    'network-configuration': networkConfiguration,
    'net-conf': { title: "Plexus's net-conf", ...netConfSchema },
    'daemon-conf': { title: "The daemon's configuration", ...daemonConfSchema },
  }
  for (const [type, schema] of Object.entries(configurations)) schemas[`plugin/${type}`] = schema
  for (const [type, schema] of Object.entries(IPAM_PLUGIN_SCHEMAS)) schemas[`ipam/${type}`] = schema
  return new Map(
    Object.entries(schemas).map(([name, schema]) => [
      `schemas/${name}.json`,
      `${JSON.stringify({ $schema: DIALECT, ...schema, $id: undefined }, null, 2)}\n`,
    ]),
  )
}
