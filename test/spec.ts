import { suite, type Test } from 'uvu'

/**
 * Creates one uvu suite and runs it, so that a forgotten `.run()` cannot hide a file's tests.
 *
 * @param title Name printed before the suite's results.
 * @param define Registers the tests.
 */
export function spec(title: string, define: (it: Test) => void): void {
  const it = suite(title)
  define(it)
  it.run()
}
