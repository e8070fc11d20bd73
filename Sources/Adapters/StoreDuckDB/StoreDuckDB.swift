// StoreDuckDB
