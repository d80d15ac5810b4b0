import { pathToFileURL } from 'node:url'

/** What `import.meta.url` is in a bundle; esbuild puts it into those that ask for it. */
export const bundleUrl: string = /* @__PURE__ */ (() => pathToFileURL(__filename).href)()
