variable "image" {
  type        = string
  description = "Image of the scoring service, with its tag."
}

variable "keys_json" {
  type        = string
  sensitive   = true
  description = "Content of keys.json, which `python -m serving.keys` writes; it holds hashes, no keys."
}

variable "mlflow_tracking_uri" {
  type        = string
  description = "Registry that the champion is fetched from."
}

variable "bundle" {
  type        = string
  default     = "models:/router@champion"
  description = "Bundle that is served: a registry address or a folder of the image."
}

variable "namespace" {
  type        = string
  default     = "default"
  description = "Namespace of all resources; it must be there."
}

variable "replicas" {
  type        = number
  default     = 2
  description = "Pods."
  validation {
    condition     = var.replicas >= 1
    error_message = "Expected at least one replica."
  }
}

variable "settings" {
  type        = map(string)
  default     = {}
  description = "Further settings of the service by their variable, such as ROUTER_SERVE_REDIS_URL."
}
