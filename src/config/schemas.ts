import { daemonConfSchema } from './daemon-conf-schema.ts'
import { netConfSchema } from './net-conf-schema.ts'

/** JSON Schemas by the name that their compiled validator is exported under. */
export const schemas = { validateNetConf: netConfSchema, validateDaemonConf: daemonConfSchema } as const

/** Options for ajv, at test time and when the build precompiles the validators. */
export const ajvOptions = { allErrors: true, strict: true, allowUnionTypes: true, verbose: false } as const
