output "url" {
  value       = "http://router.${var.namespace}.svc:8080"
  description = "Address inside the cluster."
}
