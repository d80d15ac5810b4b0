import type { BuildOptions, Metafile } from 'esbuild'

/**
 * How esbuild makes a bundle of ours. CommonJS, because Node loads it about 4 ms faster than the same code
 * as ES modules. Modules keep their order, and what is imported dynamically is evaluated only then, as with
 * ES modules.
 *
 * @param root Absolute path of the repository.
 */
export function bundleOptions(root: string) {
  return {
    absWorkingDir: root,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    define: {
      'import.meta.dirname': '__dirname',
      'import.meta.filename': '__filename',
      'import.meta.url': 'bundleUrl',
    },
    inject: ['scripts/bundle-url.ts'],
    // Node's own import() in CommonJS would start the loader of ES modules.
    supported: { 'dynamic-import': false },
    metafile: true,
    write: false,
    // One letter beyond Latin-1, and V8 would keep every bundle's text in two bytes each.
    charset: 'ascii',
    // The text stays in memory; names and lines, which a stack trace tells, stay too.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    logLevel: 'warning',
  } as const satisfies BuildOptions
}

/** @throws {Error} The compiler of schemas has come into a bundle: its output should be there in its place. */
export function assertNoSchemaCompiler({ inputs }: Metafile): void {
  const compiler = Object.keys(inputs).find((input) => /node_modules\/ajv\/dist\/(?!runtime\/)/.test(input))
  if (compiler !== undefined) throw new Error(`the schema compiler must not be in a bundle: ${compiler}`)
}
