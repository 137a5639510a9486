"""A Ray cluster on this machine, as a process: `python tests/ray_cluster.py NODES`.

It prints its address, loses a node for each line that it reads, and ends with its standard input.
"""

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    """One CPU a node, and none on the head."""
    quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(int(sys.argv[1]))]
    print(f"address {cluster.address}", flush=True)
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        print("lost one", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
