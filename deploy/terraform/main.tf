# The manifests of ../kubernetes, with values of your own; nothing is said twice.

terraform {
  required_version = ">= 1.5"
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.30"
    }
  }
}

locals {
  base   = "${path.module}/../kubernetes"
  labels = { "app.kubernetes.io/name" = "router" }

  deployment = yamldecode(file("${local.base}/deployment.yaml"))
  pod        = local.deployment.spec.template.spec
  container  = local.pod.containers[0]

  # Variables of the module come after those of the manifest, and replace them by name.
  settings = merge(
    { for entry in local.container.env : entry.name => entry.value },
    { MLFLOW_TRACKING_URI = var.mlflow_tracking_uri, ROUTER_SERVE_BUNDLE = var.bundle },
    var.settings,
  )
}

resource "kubernetes_secret" "keys" {
  metadata {
    name      = "router-keys"
    namespace = var.namespace
    labels    = local.labels
  }
  data = { "keys.json" = var.keys_json }
}

resource "kubernetes_manifest" "deployment" {
  manifest = merge(local.deployment, {
    metadata = merge(local.deployment.metadata, { namespace = var.namespace })
    spec = merge(local.deployment.spec, {
      replicas = var.replicas
      template = merge(local.deployment.spec.template, {
        spec = merge(local.pod, {
          containers = [merge(local.container, {
            image = var.image
            env   = [for name, value in local.settings : { name = name, value = value }]
          })]
        })
      })
    })
  })
  depends_on = [kubernetes_secret.keys]
}

resource "kubernetes_manifest" "others" {
  for_each = toset(["service.yaml", "disruption-budget.yaml"])
  manifest = merge(yamldecode(file("${local.base}/${each.value}")), {
    metadata = merge(
      yamldecode(file("${local.base}/${each.value}")).metadata,
      { namespace = var.namespace },
    )
  })
}
