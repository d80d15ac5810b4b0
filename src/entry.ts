import { enableCompileCache } from 'node:module'

// Beside the bundle that this becomes, dist/main.cjs. The build fills it; where it cannot be written
// to, later code is not added to it, and nothing else happens.
enableCompileCache(`${import.meta.dirname}/compile-cache`)

void import('./main.ts')
