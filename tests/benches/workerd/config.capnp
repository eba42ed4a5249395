# What the benchmark starts workerd with.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "rule", worker = (
    modules = [(name = "rule.js", esModule = embed "rule.js")],
    compatibilityDate = "2026-01-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "rule")],
);
