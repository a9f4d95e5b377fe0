"""Drive the experiments of one pytest process."""
