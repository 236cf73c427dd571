"""Makes a model cheaper to serve: quantised by the method that its file of the fleet names.

Started by `daily_cycle` when a price over the cost objective is the cause, or by hand.
The run's name is `model--day--compress`: there is one such run, one such job and one such
promotion, however often somebody asks.

| task | what it does |
|---|---|
| `open_candidates` | checks the parameters strictly; one candidate a model |
| `job` | submits the job to the model's engine, or adopts it, and waits for the candidate |
| `gate` | champion and candidate in one run: faster as the file asks, quality inside the margin |
| `approval` | waits for a person, where the run or the model's file asks for one |
| `promote` | ledger, then alias: the candidate is champion; or the champion stays, and why |
| `report` | projects the candidate to MLflow; the button **MLflow run** leads there |

A killed task loses nothing: the job goes on by itself and the next try finds it by its key.
"""

from upkeep_airflow.candidate_dag import candidate_dag

dag = candidate_dag("compress", __doc__)
