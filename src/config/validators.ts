import { Ajv, type ValidateFunction } from 'ajv'
import { ajvOptions, schemas } from './schemas.ts'

// The build replaces this module by the same exports in precompiled form, so a CNI call compiles nothing.
const ajv = new Ajv(ajvOptions)

/** Checks a net-conf; faults are in its `errors`. */
export const validateNetConf: ValidateFunction = ajv.compile(schemas.validateNetConf)

/** Checks a daemon configuration; faults are in its `errors`. */
export const validateDaemonConf: ValidateFunction = ajv.compile(schemas.validateDaemonConf)
