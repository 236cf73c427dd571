"""What Upkeep adds to Airflow: the bodies of its tasks, its operators, links and notes.

Every body is a plain function that calls one step of :mod:`upkeep.cycle`; the DAG files say
when and in what order. Heavy imports happen inside the functions: a parse pays for none.
"""
