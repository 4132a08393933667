"""Work that is done beside the nodes, by RQ workers. Nothing imports this package: jobs are named by dotted names."""
