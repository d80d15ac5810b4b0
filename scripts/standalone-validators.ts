import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Ajv, type Options } from 'ajv'
import standalone from 'ajv/dist/standalone/index.js'
import type { Plugin } from 'esbuild'

/** What `src/config/schemas.ts` exports: one schema for each validator that `validators.ts` exports. */
interface SchemaModule {
  readonly schemas: Readonly<Record<string, object>>
  readonly ajvOptions: Options
}

function isSchemaModule(module: unknown): module is SchemaModule {
  return typeof module === 'object' && module !== null && 'schemas' in module && 'ajvOptions' in module
}

/**
 * Puts validators compiled ahead of time in the place of `src/config/validators.ts`, which compiles
 * the schemas when it is imported. So the bundle neither loads ajv nor compiles anything at start-up.
 *
 * @param root Absolute path of the repository.
 * @throws {Error} `validators.ts` exports another set of names than `schemas.ts` has.
 */
export function standaloneValidators(root: string): Plugin {
  return {
    name: 'standalone-validators',
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/config\/validators\.ts$/ }, async ({ path }) => {
        const source = join(root, 'src/config/schemas.ts')
        if (!existsSync(source)) return undefined
        const module: unknown = await import(pathToFileURL(source).href)
        if (!isSchemaModule(module)) throw new Error(`${source} must export "schemas" and "ajvOptions"`)
        const names = Object.keys(module.schemas)
        const exported = Object.keys((await import(pathToFileURL(path).href)) as object)
        const odd = [...new Set(names).symmetricDifference(new Set(exported))]
        if (odd.length > 0)
          throw new Error(`${path} and ${source} do not name the same validators: ${odd.join(', ')}`)
        return {
          contents: standaloneSource(module),
          loader: 'js',
          resolveDir: root,
          watchFiles: [source],
        }
      })
    },
  }
}

/** The validators as the text of one ES module, a named export for each schema. */
function standaloneSource({ schemas, ajvOptions }: SchemaModule): string {
  const ajv = new Ajv({ ...ajvOptions, code: { ...ajvOptions.code, source: true, esm: true } })
  const refs: Record<string, string> = {}
  for (const [name, schema] of Object.entries(schemas)) {
    ajv.addSchema(schema, name)
    refs[name] = name
  }
  return standalone.default(ajv, refs)
}
