"""The same calls against the real `mlflow server` and against Aerie; what they answer is compared.

The real server's answers are kept in `recorded.json`, so that a test run needs Aerie alone. They are recorded again with
`python -m differential record` in `Tests/Clients`.
"""
