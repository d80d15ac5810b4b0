import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { NetConf } from '../config/net-conf.ts'
import type { CredentialSource } from '../store/kubernetes-credentials.ts'
import type { InformerLimits } from '../store/kubernetes-informer.ts'
import { type AdmissionRequest, parseReview, toReview, type Verdict } from './admission-review.ts'
import { openClusterView } from './cluster-view.ts'
import type { KnownCluster } from './known-cluster.ts'
import { openWebhookMetrics } from './metrics.ts'
import { reviewObject } from './object-admission.ts'
import { mutatePod } from './pod-mutation.ts'
import { type HttpAnswer, listenTls, type TlsServer } from './server.ts'
import { watchServingCertificate } from './serving-certificate.ts'

/** What the webhook is told. */
export interface WebhookOptions {
  /** On all addresses without a host. */
  readonly listen: { readonly host: string | undefined; readonly port: number }
  /** Folder with `tls.crt` and `tls.key`. */
  readonly certificateFolder: string
  readonly credentials: CredentialSource
  /** The net-conf that the nodes have, as it is now. */
  readonly conf: () => NetConf
  readonly log: {
    info(message: string): void
    warn(message: string): void
  }
  readonly limits?: Partial<InformerLimits>
}

/** A running webhook. */
export interface Webhook {
  readonly port: number
  /** Says on /readyz that it goes, serves those who have not heard of it, and ends. */
  stop(): Promise<void>
}

/** Until the other replica has taken over: endpoints need a moment to reach every API server. */
const LEAVE_MS = 5000
/** For what is under way then. */
const DRAIN_MS = 5000

/**
 * Starts the webhook. It is ready when it knows all NADs, namespaces and pods.
 *
 * @throws {CniError} When certificate or address are unusable.
 */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { listen, certificateFolder, credentials, conf, log, limits } = options
  let isLeaving = false
  let server: TlsServer | undefined
  const certificate = watchServingCertificate(certificateFolder, (pair, fault) => {
    if (pair === undefined) {
      log.warn(`new serving certificate not taken over, the old one stays in force: ${fault}`)
      return
    }
    server?.use(pair)
    log.info(`new serving certificate in force, until ${pair.expiresAt.toISOString()}`)
  })
  const view = openClusterView({
    credentials,
    conf,
    warn: log.warn,
    ...(limits === undefined ? {} : { limits }),
  })
  const isReady = (): boolean => view.isListed && !isLeaving
  const metrics = openWebhookMetrics({ isReady, expiresAt: () => certificate.current.expiresAt })
  const plain = (status: number, body: string): HttpAnswer => ({
    status,
    type: 'text/plain',
    body: `${body}\n`,
  })

  const review =
    (
      webhook: 'validate' | 'mutate',
      judge: (request: AdmissionRequest, cluster: KnownCluster) => Promise<Verdict>,
    ) =>
    async (body: unknown): Promise<HttpAnswer> => {
      const startedAt = performance.now()
      const seconds = (): number => (performance.now() - startedAt) / 1000
      try {
        const request = parseReview(body)
        if (!view.isListed)
          throw new CniError(
            CniErrorCode.TryAgainLater,
            'the cluster is not known yet; /readyz tells when it is',
          )
        const verdict = await judge(request, view)
        metrics.observe(webhook, verdict.refusal === undefined ? 'allowed' : 'refused', seconds())
        return { status: 200, type: 'application/json', body: JSON.stringify(toReview(request.uid, verdict)) }
      } catch (error) {
        metrics.observe(webhook, 'failed', seconds())
        throw error
      }
    }
  const routes = {
    get: {
      '/healthz': async () => plain(200, 'ok'),
      '/readyz': async () => {
        const reason = isLeaving ? 'leaving' : view.isListed ? 'ready' : 'the cluster is being listed'
        const notes = [reason, view.fault, certificate.fault].filter((note) => note !== undefined)
        return plain(isReady() ? 200 : 503, notes.join('; '))
      },
      '/metrics': async () => ({
        status: 200,
        type: metrics.registry.contentType,
        body: await metrics.registry.metrics(),
      }),
    },
    post: { '/validate': review('validate', reviewObject), '/mutate': review('mutate', mutatePod) },
  }
  const listening = await listenTls(listen, certificate.current, routes, log.warn).catch(
    async (error: unknown) => {
      certificate.close()
      await view.close()
      throw error
    },
  )
  server = listening
  return {
    port: listening.port,
    async stop() {
      isLeaving = true
      await new Promise((resolve) => setTimeout(resolve, LEAVE_MS))
      await listening.close(DRAIN_MS)
      certificate.close()
      await view.close()
    },
  }
}
