// Quality
