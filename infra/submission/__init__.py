"""What the submit scripts of EMR, Dataproc and Kubernetes and the Airflow DAGs share.

Needs the standard library alone: Airflow's workers have neither Spark nor dclm_spark.
"""
