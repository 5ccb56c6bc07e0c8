"""What may Prometheus read of this process and of its database?"""
