import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { parseDelegateFailure } from '../cni/delegate-error.ts'
import { parseJson } from '../cni/json.ts'
import {
  type DelegateCall,
  type DelegateExit,
  DroppedError,
  type Executor,
  ExecutorLostError,
} from '../executor/executor.ts'
import type { EngineContext } from './engine.ts'

/** What a call needs of its request. */
export type DelegateContext = Pick<EngineContext, 'executor' | 'now' | 'startedAt' | 'called'>

/** A delegate's call and where it stands, for messages. */
export interface TitledCall {
  readonly call: DelegateCall
  /** Name of the network. */
  readonly network: string
  /** For example `network "n6" (NAD telco/n6)`. */
  readonly title: string
  /** Version the delegate is called in. */
  readonly cniVersion: string
}

/** A plugin that could not be started at all. */
export class NotStartedError extends CniError {
  constructor({ code, message, hint, cause, faults }: CniError) {
    super(code, message, { ...(hint === undefined ? {} : { hint }), cause, faults })
  }
}

/**
 * Runs a delegate and turns every bad end into the typed error, with the delegate's own words.
 *
 * @throws {CniError} The delegate's code and words; TryAgainLater when it took too long or was
 * cancelled; DelegateOutput when it printed too much. CNI-096 to CNI-100, CNI-104.
 */
export async function execDelegate(
  context: DelegateContext,
  titled: TitledCall,
  signal?: AbortSignal,
): Promise<DelegateExit> {
  return await judgeExit(context, titled, context.executor.exec(titled.call, signal), context.now())
}

/**
 * Waits for a call that has been handed over, reports it, and turns every bad end into the typed error.
 *
 * @param begunAt When it began, on the context's clock.
 * @throws {CniError} As {@link execDelegate}; {@link DroppedError} of a call that was not started.
 */
export async function judgeExit(
  context: DelegateContext,
  titled: TitledCall,
  pending: Promise<DelegateExit>,
  begunAt: number,
): Promise<DelegateExit> {
  const { call, network } = titled
  const report = (durationMs: number, error?: CniError): void =>
    context.called({
      network,
      plugin: call.type,
      command: call.command,
      ifName: call.ifName,
      startMs: begunAt - context.startedAt,
      durationMs,
      ...(error === undefined ? {} : { error: error.code }),
    })
  let exit: DelegateExit
  try {
    exit = await pending
  } catch (error) {
    if (error instanceof DroppedError) throw error
    const fault = toCniError(error).at(`${titled.title}: ${call.command} ${call.ifName}`)
    report(context.now() - begunAt, fault)
    throw error instanceof ExecutorLostError ? fault : new NotStartedError(fault)
  }
  try {
    await checkExit(context.executor, titled, exit)
  } catch (error) {
    report(exit.durationMs, toCniError(error))
    throw error
  }
  report(exit.durationMs)
  return exit
}

async function checkExit(
  executor: Executor,
  { call, title, cniVersion }: TitledCall,
  exit: DelegateExit,
): Promise<void> {
  const where = `${title}: plugin "${call.type}" failed (${call.command.toLowerCase()})`
  const said = exit.stderr.trim() === '' ? {} : { faults: [exit.stderr.trim().slice(0, 4096)] }
  if (exit.ended === 'timeout') {
    const seconds = Math.round(call.timeoutMs / 100) / 10
    throw new CniError(
      CniErrorCode.TryAgainLater,
      `${where}: it did not end within ${seconds} s and was killed`,
      {
        hint: `see why "${call.type}" hangs; delegateTimeout bounds one call`,
        ...said,
      },
    )
  }
  if (exit.ended === 'cancelled') {
    throw new CniError(CniErrorCode.TryAgainLater, `${where}: the runtime ended the call while it ran`, said)
  }
  if (exit.ended === 'output') {
    throw new CniError(CniErrorCode.DelegateOutput, `${where}: it printed without end and was killed`, {
      hint: 'maxOutputBytes bounds what a plugin may print',
      ...said,
    })
  }
  if (exit.status === 0) return
  const failure = parseDelegateFailure({
    type: call.type,
    status: exit.status,
    signal: exit.signal,
    stdout: exit.stdout,
    stderr: exit.stderr,
  })
  const error = failure.at(where)
  // Handed up, it would tell the runtime that no DEL is needed.
  if (failure.code === CniErrorCode.UnknownContainer) {
    throw new CniError(CniErrorCode.DelegateFailed, error.message, { faults: error.faults })
  }
  if (failure.code !== CniErrorCode.IncompatibleCniVersion) throw error
  throw new CniError(failure.code, `${error.message}${await versionSkew(executor, call, cniVersion)}`, {
    hint: 'set a cniVersion in its config that the plugin speaks, or install a newer plugin',
    cause: error,
  })
}

/**
 * Parses what a delegate printed on success. Empty output is an error on ADD; `null` is an empty result.
 * CNI-074, CNI-097.
 *
 * @throws {CniError} DelegateOutput with what it printed.
 */
export function parseDelegateOutput(exit: DelegateExit, { call, title }: TitledCall): unknown {
  const where = `${title}: plugin "${call.type}"`
  if (exit.stdout.trim() === '') {
    throw new CniError(CniErrorCode.DelegateOutput, `${where} printed no result`, {
      hint: `"${call.type}" ended with success but without the result that ADD must give`,
    })
  }
  try {
    return parseJson(exit.stdout, 'its output')
  } catch (error) {
    const shown = exit.stdout.trim().slice(0, 200)
    throw new CniError(
      CniErrorCode.DelegateOutput,
      `${where} printed no result but ${JSON.stringify(shown)}`,
      {
        cause: error,
      },
    )
  }
}

/** What the plugin says it speaks, for the message of a version error; never fails itself. CNI-036. */
async function versionSkew(executor: Executor, call: DelegateCall, cniVersion: string): Promise<string> {
  const versions = await supportedVersions(executor, call)
  return `; CNI version ${cniVersion} was asked of "${call.type}", it supports ${versions.join(', ')}`
}

/** The versions that a plugin lists; one that cannot say is of before VERSION. Never fails. CNI-036. */
export async function supportedVersions(
  executor: Pick<Executor, 'exec'>,
  call: DelegateCall,
): Promise<readonly string[]> {
  try {
    const probe = { ...call, command: 'VERSION' as const, netns: 'dummy', ifName: 'dummy', args: '' }
    const exit = await executor.exec({ ...probe, stdin: '{"cniVersion":"1.1.0"}', timeoutMs: 5000 })
    const reply = JSON.parse(exit.stdout) as { supportedVersions?: unknown }
    return Array.isArray(reply.supportedVersions) ? reply.supportedVersions.map(String) : ['0.1.0']
  } catch {
    // The plugin cannot say; then it is of before VERSION.
    return ['0.1.0']
  }
}
